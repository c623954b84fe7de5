// Records what Promtail's own stages make of lines: cases in on stdin (one JSON a line), the same with the answers out on stdout.
//
// A case is {stages: YAML, labels, lines}; added are records [{labels, line, time, metadata}], metrics (Prometheus text,
// lines that begin with # left out) or error. Lines are read at 2024-03-10T12:00:00Z.
// It needs github.com/grafana/loki/v3, which is no part of this repository: see ../../README.md.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"strings"
	"time"

	"github.com/go-kit/log"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"gopkg.in/yaml.v2"

	"github.com/grafana/loki/v3/clients/pkg/logentry/stages"
	"github.com/grafana/loki/v3/clients/pkg/promtail/api"
	"github.com/grafana/loki/v3/pkg/logproto"
)

type record struct {
	Labels   map[string]string `json:"labels"`
	Line     string            `json:"line"`
	Time     int64             `json:"time"`
	Metadata [][2]string       `json:"metadata,omitempty"`
}

type testCase struct {
	Stages  string            `json:"stages"`
	Labels  map[string]string `json:"labels"`
	Lines   []string          `json:"lines"`
	Records []record          `json:"records,omitempty"`
	Metrics []string          `json:"metrics,omitempty"`
	Error   string            `json:"error,omitempty"`
}

func run(c *testCase) {
	var config []interface{}
	if err := yaml.Unmarshal([]byte(c.Stages), &config); err != nil {
		c.Error = err.Error()
		return
	}
	registry := prometheus.NewRegistry()
	job := "test"
	pipeline, err := stages.NewPipeline(log.NewNopLogger(), config, &job, registry)
	if err != nil {
		c.Error = err.Error()
		return
	}
	in := make(chan stages.Entry)
	out := pipeline.Run(in)
	go func() {
		for _, line := range c.Lines {
			labels := model.LabelSet{}
			for k, v := range c.Labels {
				labels[model.LabelName(k)] = model.LabelValue(v)
			}
			in <- stages.Entry{Extracted: map[string]interface{}{}, Entry: api.Entry{Labels: labels,
				Entry: logproto.Entry{Timestamp: time.Date(2024, 3, 10, 12, 0, 0, 0, time.UTC), Line: line}}}
		}
		close(in)
	}()
	c.Records = []record{}
	for e := range out {
		r := record{Labels: map[string]string{}, Line: e.Line, Time: e.Timestamp.UnixNano()}
		for k, v := range e.Labels {
			r.Labels[string(k)] = string(v)
		}
		for _, l := range e.StructuredMetadata {
			r.Metadata = append(r.Metadata, [2]string{l.Name, l.Value})
		}
		c.Records = append(c.Records, r)
	}
	families, err := registry.Gather()
	if err != nil {
		c.Error = err.Error()
		return
	}
	text := &strings.Builder{}
	for _, family := range families {
		if _, err := expfmt.MetricFamilyToText(text, family); err != nil {
			panic(err)
		}
	}
	for _, line := range strings.Split(text.String(), "\n") {
		if line != "" && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "logentry_") {
			c.Metrics = append(c.Metrics, line)
		}
	}
	sort.Strings(c.Metrics)
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<24)
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	for in.Scan() {
		var c testCase
		if err := json.Unmarshal(in.Bytes(), &c); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		run(&c)
		if err := out.Encode(c); err != nil {
			panic(err)
		}
	}
}
