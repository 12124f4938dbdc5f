package command

import (
	"fmt"
	"io"
	"os"

	"github.com/hashicorp/cli"
)

const binary = "nomad-driver-connect"

// Run runs what a person asked for and gives the exit status.
func Run(args []string, version string, stdout, stderr io.Writer) int {
	ui := &cli.BasicUi{Reader: os.Stdin, Writer: stdout, ErrorWriter: stderr}
	app := cli.NewCLI(binary, version)
	app.Args = args
	app.HelpWriter = stdout
	app.ErrorWriter = stderr
	app.Commands = map[string]cli.CommandFactory{
		"bootstrap": func() (cli.Command, error) { return &bootstrapCommand{ui: ui, stderr: stderr}, nil },
		"hook":      func() (cli.Command, error) { return &hookCommand{ui: ui, stdin: os.Stdin}, nil },
		"version":   func() (cli.Command, error) { return versionCommand{ui, version}, nil },
	}
	status, err := app.Run()
	if err != nil {
		_, _ = fmt.Fprintln(stderr, err)
		return 1
	}
	return status
}

type versionCommand struct {
	ui      cli.Ui
	version string
}

func (versionCommand) Synopsis() string { return "Prints the version" }

func (versionCommand) Help() string {
	return "Usage: " + binary + " version\n\n  Prints the version of the driver.\n"
}

func (c versionCommand) Run([]string) int {
	c.ui.Output(binary + " v" + c.version)
	return 0
}
