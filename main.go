// Command nomad-driver-connect is Nomad's task driver "connect". Nomad starts
// it as a plugin; a person starts it with a command.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/nomad/plugins"
	"github.com/hashicorp/nomad/plugins/base"

	"nomad-driver-connect/command"
	"nomad-driver-connect/driver"
)

func main() {
	if len(os.Args) == 1 && os.Getenv(base.Handshake.MagicCookieKey) == base.Handshake.MagicCookieValue {
		// A Nomad agent that was killed finds this process again, but its end of
		// our standard error is gone: the next line logged must not end us.
		signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
		plugins.ServeCtx(func(ctx context.Context, log hclog.Logger) any {
			driver.SaveMemory(ctx)
			return driver.New(ctx, log)
		})
		return
	}
	os.Exit(command.Run(os.Args[1:], driver.Version, os.Stdout, os.Stderr))
}
