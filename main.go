// Command nomad-driver-connect is Nomad's task driver "connect". Nomad starts
// it as a plugin; a person starts it with a command.
package main

import (
	"context"
	"os"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/nomad/plugins"
	"github.com/hashicorp/nomad/plugins/base"

	"nomad-driver-connect/driver"
)

func main() {
	if len(os.Args) == 1 && os.Getenv(base.Handshake.MagicCookieKey) == base.Handshake.MagicCookieValue {
		plugins.ServeCtx(func(ctx context.Context, log hclog.Logger) any { return driver.New(ctx, log) })
		return
	}
	os.Exit(runCommand(os.Args[1:]))
}
