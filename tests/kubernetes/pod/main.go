// pod is what the containers of the end-to-end test run: without arguments it waits for SIGTERM (the sandbox's pause),
// with `write` it writes numbered lines, whose numbers say afterwards whether each arrived once.
//
//	pod write -count 1000 [-rate 500] [-long 50] [-size 16384] [-errors 7] [-exit 0] [-stay]
//
// A line is `<HOSTNAME> <run> <out|err> <number> <filler>`: run tells apart the starts of one container, number begins
// at 0 for each stream of a run. The last line of each stream ends in ` end`.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	stopped := make(chan os.Signal, 1)
	signal.Notify(stopped, syscall.SIGINT, syscall.SIGTERM)
	if len(os.Args) > 1 && os.Args[1] == "write" {
		write(os.Args[2:])
	} else {
		<-stopped
	}
}

func write(arguments []string) {
	flags := flag.NewFlagSet("write", flag.ExitOnError)
	count := flags.Int("count", 1000, "lines in all")
	rate := flags.Int("rate", 0, "lines a second; 0 = as fast as it goes")
	long := flags.Int("long", 0, "each so many lines one is longer than a runtime's piece; 0 = none")
	size := flags.Int("size", 16*1024, "bytes of the shortest long line")
	errors := flags.Int("errors", 0, "each so many lines one goes to standard error; 0 = none")
	exit := flags.Int("exit", 0, "exit code")
	stay := flags.Bool("stay", false, "wait for SIGTERM after the last line")
	_ = flags.Parse(arguments)
	host, _ := os.Hostname()
	run := time.Now().UnixNano()
	numbers := map[string]int{}
	files := map[string]*os.File{"out": os.Stdout, "err": os.Stderr}
	last := map[string]int{}
	stream := func(at int) string {
		if *errors > 0 && at%*errors == *errors-1 {
			return "err"
		}
		return "out"
	}
	for at := range *count {
		last[stream(at)] = at
	}
	begin := time.Now()
	for at := range *count {
		name := stream(at)
		filler := strings.Repeat("x", 20+at%60)
		if *long > 0 && at%*long == 0 {
			filler = strings.Repeat("y", *size+at%40_000)
		}
		end := ""
		if last[name] == at {
			end = " end"
		}
		fmt.Fprintf(files[name], "%s %d %s %d %s%s\n", host, run, name, numbers[name], filler, end)
		numbers[name]++
		if *rate > 0 {
			time.Sleep(time.Until(begin.Add(time.Duration(at) * time.Second / time.Duration(*rate))))
		}
	}
	if *stay {
		stopped := make(chan os.Signal, 1)
		signal.Notify(stopped, syscall.SIGTERM)
		<-stopped
	}
	os.Exit(*exit)
}
