package main

import (
	"fmt"
	"os"

	"github.com/hashicorp/cli"

	"nomad-driver-connect/driver"
)

const binary = "nomad-driver-connect"

// runCommand runs what a person asked for and gives the exit status.
func runCommand(args []string) int {
	ui := &cli.BasicUi{Reader: os.Stdin, Writer: os.Stdout, ErrorWriter: os.Stderr}
	app := cli.NewCLI(binary, driver.Version)
	app.Args = args
	app.HelpWriter = os.Stdout
	app.ErrorWriter = os.Stderr
	app.Commands = map[string]cli.CommandFactory{
		"version": func() (cli.Command, error) { return versionCommand{ui}, nil },
	}
	status, err := app.Run()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return status
}

type versionCommand struct{ ui cli.Ui }

func (versionCommand) Synopsis() string { return "Prints the version" }

func (versionCommand) Help() string {
	return "Usage: " + binary + " version\n\n  Prints the version of the driver.\n"
}

func (c versionCommand) Run([]string) int {
	c.ui.Output(binary + " v" + driver.Version)
	return 0
}
