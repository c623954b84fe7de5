// Records what Go itself makes of templates, times and expressions: cases in on stdin (one JSON a line), the same with the
// answers out on stdout. A case has one of: template (Promtail's functions: Sprig's and its own, over the values below),
// layout and value (times, read in zone), pattern and texts (expressions).
package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"text/template"
	"time"

	"github.com/Masterminds/sprig/v3"
	"golang.org/x/crypto/sha3"
)

var values = map[string]interface{}{"level": "Warn", "msg": " ünï ", "num": "42", "path": "/var/log/pods/a_b_c/x.log", "Value": "the Value", "Entry": "the line {\"a\":1}",
	"json": `{"a":[1,2.5,"x"],"b":{"c":null,"d":true}}`, "empty": ""}

func functions() template.FuncMap {
	all := sprig.TxtFuncMap()
	all["ToLower"], all["ToUpper"], all["Replace"], all["Trim"] = strings.ToLower, strings.ToUpper, strings.Replace, strings.Trim
	all["TrimLeft"], all["TrimRight"], all["TrimPrefix"], all["TrimSuffix"], all["TrimSpace"] = strings.TrimLeft, strings.TrimRight, strings.TrimPrefix, strings.TrimSuffix, strings.TrimSpace
	all["Hash"] = func(salt, text string) string { sum := sha3.Sum256([]byte(salt + text)); return hex.EncodeToString(sum[:]) }
	all["Sha2Hash"] = func(salt, text string) string { sum := sha256.Sum256([]byte(salt + text)); return hex.EncodeToString(sum[:]) }
	all["regexReplaceAll"] = func(re, text, with string) string { return regexp.MustCompile(re).ReplaceAllString(text, with) }
	all["regexReplaceAllLiteral"] = func(re, text, with string) string { return regexp.MustCompile(re).ReplaceAllLiteralString(text, with) }
	return all
}

type answer map[string]interface{}

func render(c answer) {
	defer func() {
		if r := recover(); r != nil {
			c["error"] = fmt.Sprint(r)
		}
	}()
	t, err := template.New("line").Funcs(functions()).Parse(c["template"].(string))
	if err == nil {
		var out bytes.Buffer
		if err = t.Execute(&out, values); err == nil {
			c["text"] = out.String()
			return
		}
	}
	c["error"] = err.Error()
}

func read(c answer) {
	zone := time.UTC
	if name, ok := c["zone"].(string); ok && name != "" {
		var err error
		if zone, err = time.LoadLocation(name); err != nil {
			panic(err)
		}
	}
	at, err := time.ParseInLocation(c["layout"].(string), c["value"].(string), zone)
	if err != nil {
		c["error"] = err.Error()
		return
	}
	c["seconds"], c["nanos"] = at.Unix(), at.Nanosecond()
}

func match(c answer) {
	re, err := regexp.Compile(c["pattern"].(string))
	if err != nil {
		c["error"] = err.Error()
		return
	}
	found := []interface{}{}
	for _, text := range c["texts"].([]interface{}) {
		found = append(found, re.FindStringSubmatchIndex(text.(string)))
	}
	c["found"] = found
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<24)
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	for in.Scan() {
		c := answer{}
		if err := json.Unmarshal(in.Bytes(), &c); err != nil {
			panic(err)
		}
		switch {
		case c["template"] != nil:
			render(c)
		case c["layout"] != nil:
			read(c)
		default:
			match(c)
		}
		if err := out.Encode(c); err != nil {
			panic(err)
		}
	}
}
