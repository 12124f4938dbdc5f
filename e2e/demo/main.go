package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"nomad-driver-connect/e2e/agents"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	c, err := agents.StartCluster(ctx, agents.Options{Tools: ".tools/bin", Plugin: "bin/nomad-driver-connect"})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(c.Dir, c.Nomad.HTTP, c.Consul.HTTP)
	<-ctx.Done()
	fmt.Println(c.Close(context.Background()))
}
