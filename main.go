// Command nomad-driver-connect is Nomad's task driver "connect". Nomad starts
// it as a plugin; a person starts it with a command.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/nomad/plugins"
	"github.com/hashicorp/nomad/plugins/base"

	"nomad-driver-connect/command"
	"nomad-driver-connect/driver"
)

// gcPercent is how much garbage there may be, in percent of what is in use.
const gcPercent = 25

func main() {
	if len(os.Args) == 1 && os.Getenv(base.Handshake.MagicCookieKey) == base.Handshake.MagicCookieValue {
		// A Nomad agent that was killed finds this process again, but its end of
		// our standard error is gone: the next line logged must not end us.
		signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
		// The plugin waits most of the time: memory counts for more than how
		// often garbage is collected.
		debug.SetGCPercent(gcPercent)
		plugins.ServeCtx(func(ctx context.Context, log hclog.Logger) any { return driver.New(ctx, log) })
		return
	}
	os.Exit(command.Run(os.Args[1:], driver.Version, os.Stdout, os.Stderr))
}
