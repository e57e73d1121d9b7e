//go:build peers

// Package peers pins the servers that the gateway is measured against, apart from its own dependencies.
package peers

import _ "github.com/tus/tusd/v2/cmd/tusd"
