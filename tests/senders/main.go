// Senders of Fluentd's Go library, which ask for a confirmation of each message and send again what was not confirmed.
//
//	fluent ADDRESS PORT TAG COUNT SENDERS SECONDS     messages "line N" for N in 0..COUNT, at SECONDS since 1970 and N+1 ns
package main

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/fluent/fluent-logger-golang/fluent"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func number(at int) int {
	n, err := strconv.Atoi(os.Args[at])
	must(err)
	return n
}

func main() {
	var all sync.WaitGroup
	for sender := 0; sender < number(5); sender++ {
		all.Add(1)
		go func() {
			defer all.Done()
			send(sender)
		}()
	}
	all.Wait()
	fmt.Println("done")
}

func send(first int) {
	logger, err := fluent.New(fluent.Config{
		FluentHost: os.Args[1], FluentPort: number(2), RequestAck: true, SubSecondPrecision: true,
		ReadTimeout: 20 * time.Second, WriteTimeout: 20 * time.Second, RetryWait: 20, MaxRetryWait: 200, MaxRetry: 1000,
	})
	must(err)
	for n := first; n < number(4); n += number(5) {
		record := map[string]interface{}{"log": fmt.Sprintf("line %d", n), "order": n, "blob": []byte{0xc3, 0xa9}, "nested": map[string]string{"a": "b"}}
		for tries := 0; ; tries++ {
			err := logger.PostWithTime(os.Args[3], time.Unix(int64(number(6)), int64(n)+1), record)
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
}
