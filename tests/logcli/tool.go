//go:build tools

// Package logcli names the peer that the test builds; nothing of it is linked into Tributary.
package logcli

import _ "github.com/grafana/loki/v3/cmd/logcli"
