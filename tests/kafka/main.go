// A Kafka of our tests: franz-go's fake cluster, and a producer that is told on standard input what to write.
//
//	kafka [-user NAME -password TEXT -mechanism SCRAM-SHA-256] [-ca FILE] [-ports A,B]
//
// There are two brokers. With -ca they speak TLS, and the certificate to trust is written to FILE. Prints a line of JSON with the brokers, then an answer for each line it reads:
//
//	produce TOPIC FROM TO PACKING     records "line N" for N in FROM..TO, key "k<N mod 3>"; PACKING none|gzip|snappy|lz4|zstd
//	committed GROUP                   the sum of the offsets that the group has committed
package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"math/big"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func mechanism(name, user, password string) sasl.Mechanism {
	auth := scram.Auth{User: user, Pass: password}
	switch name {
	case "PLAIN":
		return plain.Auth{User: user, Pass: password}.AsMechanism()
	case "SCRAM-SHA-512":
		return auth.AsSha512Mechanism()
	default:
		return auth.AsSha256Mechanism()
	}
}

// A certificate for loopback: for the brokers, and for those who trust them.
func certificate(file string) (*tls.Config, *tls.Config) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	wish := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "brokers"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, wish, wish, &key.PublicKey, key)
	must(err)
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	must(os.WriteFile(file, text, 0o600))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, &tls.Config{RootCAs: pool}
}

var packings = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

func main() {
	user := flag.String("user", "", "user that may do anything")
	password := flag.String("password", "", "its password")
	how := flag.String("mechanism", "SCRAM-SHA-256", "how it is proven")
	ca := flag.String("ca", "", "where the certificate to trust goes; empty = no TLS")
	ports := flag.String("ports", "", "where the brokers listen; empty = anywhere")
	flag.Parse()
	options := []kfake.Opt{kfake.NumBrokers(2), kfake.SeedTopics(4, "shop-a", "shop-b", "other")}
	client := []kgo.Opt{}
	if *ports != "" {
		numbers := []int{}
		for _, port := range strings.Split(*ports, ",") {
			number, err := strconv.Atoi(port)
			must(err)
			numbers = append(numbers, number)
		}
		options = append(options, kfake.Ports(numbers...))
	}
	if *user != "" {
		options = append(options, kfake.EnableSASL(), kfake.Superuser(*how, *user, *password))
		client = append(client, kgo.SASL(mechanism(*how, *user, *password)))
	}
	if *ca != "" {
		brokers, trusting := certificate(*ca)
		options = append(options, kfake.TLS(brokers))
		client = append(client, kgo.DialTLSConfig(trusting))
	}
	cluster, err := kfake.NewCluster(options...)
	must(err)
	// librdkafka and the clients made after it write 0 where a broker writes the leader's epoch: brokers do not look at it, this cluster does.
	cluster.ControlKey(int16(kmsg.Produce), func(request kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		for _, topic := range request.(*kmsg.ProduceRequest).Topics {
			for _, partition := range topic.Partitions {
				if len(partition.Records) > 16 {
					copy(partition.Records[12:16], []byte{0xff, 0xff, 0xff, 0xff})
				}
			}
		}
		return nil, nil, false
	})
	defer cluster.Close()
	client = append(client, kgo.SeedBrokers(cluster.ListenAddrs()...))
	brokers, err := json.Marshal(cluster.ListenAddrs())
	must(err)
	fmt.Println(string(brokers))
	producers := map[string]*kgo.Client{}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		switch words[0] {
		case "produce":
			packing := words[4]
			if producers[packing] == nil {
				producers[packing], err = kgo.NewClient(append(client, kgo.ProducerBatchCompression(packings[packing]))...)
				must(err)
			}
			from, err := strconv.Atoi(words[2])
			must(err)
			to, err := strconv.Atoi(words[3])
			must(err)
			records := []*kgo.Record{}
			for n := from; n < to; n++ {
				records = append(records, &kgo.Record{Topic: words[1], Key: []byte(fmt.Sprintf("k%d", n%3)), Value: []byte(fmt.Sprintf("line %d", n)), Partition: int32(n % 4)})
			}
			must(producers[packing].ProduceSync(context.Background(), records...).FirstErr())
			fmt.Println("done")
		case "committed":
			admin, err := kadm.NewOptClient(client...)
			must(err)
			offsets, err := admin.FetchOffsets(context.Background(), words[1])
			must(err)
			sum := int64(0)
			offsets.Each(func(offset kadm.OffsetResponse) { sum += offset.At })
			admin.Close()
			fmt.Println(sum)
		}
	}
}
