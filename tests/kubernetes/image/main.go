// image packs programs as a one-layer OCI image archive, for `ctr images import`: no registry and no engine is needed.
//
//	image OUT.tar NAME:TAG FILE[=PATH]...          the first file is the entry point
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

type file struct {
	path string
	body []byte
	mode int64
}

func archive(files []file) []byte {
	var out bytes.Buffer
	writer := tar.NewWriter(&out)
	for _, one := range files {
		header := &tar.Header{Name: one.path, Mode: one.mode, Size: int64(len(one.body)), Format: tar.FormatUSTAR}
		if err := writer.WriteHeader(header); err != nil {
			log.Fatal(err)
		}
		if _, err := writer.Write(one.body); err != nil {
			log.Fatal(err)
		}
	}
	if err := writer.Close(); err != nil {
		log.Fatal(err)
	}
	return out.Bytes()
}

func digest(body []byte) string { return fmt.Sprintf("%x", sha256.Sum256(body)) }

func packed(value any) []byte {
	out, err := json.Marshal(value)
	if err != nil {
		log.Fatal(err)
	}
	return out
}

func main() {
	if len(os.Args) < 4 {
		log.Fatal("usage: image OUT.tar NAME:TAG FILE[=PATH]...")
	}
	out, name := os.Args[1], os.Args[2]
	var files []file
	for _, argument := range os.Args[3:] {
		from, to, named := strings.Cut(argument, "=")
		if !named {
			to = "/" + filepath.Base(from)
		}
		body, err := os.ReadFile(from)
		if err != nil {
			log.Fatal(err)
		}
		files = append(files, file{strings.TrimPrefix(to, "/"), body, 0o755})
	}
	plain := archive(files)
	var squeezed bytes.Buffer
	writer, _ := gzip.NewWriterLevel(&squeezed, gzip.BestSpeed)
	_, _ = writer.Write(plain)
	_ = writer.Close()
	layer := squeezed.Bytes()
	kind := func(suffix string, body []byte) map[string]any {
		return map[string]any{"mediaType": "application/vnd.oci.image." + suffix, "digest": "sha256:" + digest(body), "size": len(body)}
	}
	config := packed(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": map[string]any{"Entrypoint": []string{"/" + files[0].path}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + digest(plain)}},
	})
	manifest := packed(map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": kind("config.v1+json", config), "layers": []any{kind("layer.v1.tar+gzip", layer)},
	})
	named := kind("manifest.v1+json", manifest)
	_, tag, _ := strings.Cut(filepath.Base(name), ":")
	named["annotations"] = map[string]string{"io.containerd.image.name": name, "org.opencontainers.image.ref.name": tag}
	index := packed(map[string]any{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []any{named}})
	blob := func(body []byte) file { return file{"blobs/sha256/" + digest(body), body, 0o644} }
	all := archive([]file{{"oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o644}, {"index.json", index, 0o644}, blob(config), blob(layer), blob(manifest)})
	if err := os.WriteFile(out, all, 0o644); err != nil {
		log.Fatal(err)
	}
}
