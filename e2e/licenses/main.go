package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "licenses:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	modules, err := linked(ctx, ".")
	if err != nil {
		return err
	}
	switch {
	case len(args) == 1 && args[0] == "table":
		_, err = io.WriteString(out, table(modules))
	case len(args) == 1 && args[0] == "notices":
		_, err = io.WriteString(out, notices(modules))
	case len(args) == 2 && args[0] == "sbom":
		err = completeSBOM(args[1], modules)
	default:
		err = errors.New("usage: licenses table | notices | sbom FILE")
	}
	return err
}
