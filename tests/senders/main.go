// A sender of Fluentd's Go library, which asks for a confirmation of each message and sends again what was not confirmed.
//
//	fluent ADDRESS PORT TAG COUNT
package main

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/fluent/fluent-logger-golang/fluent"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	port, err := strconv.Atoi(os.Args[2])
	must(err)
	count, err := strconv.Atoi(os.Args[4])
	must(err)
	logger, err := fluent.New(fluent.Config{
		FluentHost: os.Args[1], FluentPort: port, RequestAck: true, SubSecondPrecision: true,
		ReadTimeout: 20 * time.Second, WriteTimeout: 20 * time.Second, RetryWait: 20, MaxRetryWait: 200, MaxRetry: 1000,
	})
	must(err)
	for n := 0; n < count; n++ {
		record := map[string]interface{}{"log": fmt.Sprintf("line %d", n), "order": n, "blob": []byte{0xc3, 0xa9}, "nested": map[string]string{"a": "b"}}
		for tries := 0; ; tries++ {
			err := logger.PostWithTime(os.Args[3], time.Unix(1700000000, int64(n)+1), record)
			if err == nil {
				break
			}
			if tries > 200 {
				must(err)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	must(logger.Close())
	fmt.Println("done")
}
