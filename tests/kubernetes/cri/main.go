// cri makes the calls of a kubelet to a container runtime, for the test that has no Kubernetes.
//
//	cri SOCKET run LOGDIR NAME IMAGE ARGUMENT...   starts a container; prints its id and the path of its log
//	cri SOCKET reopen ID                           after its log was renamed: go on in a new file
//	cri SOCKET clear                               removes every pod
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	v1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func main() {
	if len(os.Args) < 3 {
		log.Fatal("usage: cri SOCKET run LOGDIR NAME IMAGE ARGUMENT... | reopen ID | clear")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	runtime := v1.NewRuntimeServiceClient(must(grpc.NewClient("unix://"+os.Args[1], grpc.WithTransportCredentials(insecure.NewCredentials()))))
	switch os.Args[2] {
	case "run":
		run(ctx, runtime, os.Args[3], os.Args[4], os.Args[5], os.Args[6:])
	case "reopen":
		must(runtime.ReopenContainerLog(ctx, &v1.ReopenContainerLogRequest{ContainerId: os.Args[3]}))
	case "clear":
		for _, pod := range must(runtime.ListPodSandbox(ctx, &v1.ListPodSandboxRequest{})).Items {
			must(runtime.StopPodSandbox(ctx, &v1.StopPodSandboxRequest{PodSandboxId: pod.Id}))
			must(runtime.RemovePodSandbox(ctx, &v1.RemovePodSandboxRequest{PodSandboxId: pod.Id}))
		}
	}
}

func run(ctx context.Context, runtime v1.RuntimeServiceClient, dir, name, image string, arguments []string) {
	uid := fmt.Sprintf("%x", time.Now().UnixNano())
	options := &v1.NamespaceOption{Network: v1.NamespaceMode_NODE}
	pod := &v1.PodSandboxConfig{
		Metadata:     &v1.PodSandboxMetadata{Name: name, Uid: uid, Namespace: "default"},
		LogDirectory: fmt.Sprintf("%s/default_%s_%s", dir, name, uid),
		Linux:        &v1.LinuxPodSandboxConfig{SecurityContext: &v1.LinuxSandboxSecurityContext{NamespaceOptions: options}},
	}
	if err := os.MkdirAll(pod.LogDirectory+"/"+name, 0o755); err != nil {
		log.Fatal(err)
	}
	sandbox := must(runtime.RunPodSandbox(ctx, &v1.RunPodSandboxRequest{Config: pod})).PodSandboxId
	container := &v1.ContainerConfig{
		Metadata: &v1.ContainerMetadata{Name: name},
		Image:    &v1.ImageSpec{Image: image},
		Args:     arguments,
		LogPath:  name + "/0.log",
		Linux:    &v1.LinuxContainerConfig{SecurityContext: &v1.LinuxContainerSecurityContext{NamespaceOptions: options}},
	}
	id := must(runtime.CreateContainer(ctx, &v1.CreateContainerRequest{PodSandboxId: sandbox, Config: container, SandboxConfig: pod})).ContainerId
	must(runtime.StartContainer(ctx, &v1.StartContainerRequest{ContainerId: id}))
	fmt.Println(id, pod.LogDirectory+"/"+container.LogPath)
}
