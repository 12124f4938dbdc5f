package command

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/hashicorp/cli"
	"github.com/hashicorp/nomad/api"

	"nomad-driver-connect/hook"
)

type hookCommand struct {
	ui    cli.Ui
	stdin io.Reader
}

// hookOptions are the flags of the hook command. Those that say how a job is
// read are nomad's.
type hookOptions struct {
	file         string // "-" is stdin
	vars         stringList
	varFiles     stringList
	json         bool
	check        bool
	strict       bool
	ignore       stringList
	out          string
	diff         bool
	dynamicPorts bool
	upstreamNet  string
	serve        serveOptions
}

func (*hookCommand) Synopsis() string {
	return "Rewrites a job with Nomad's connect blocks for host networking"
}

func (*hookCommand) Help() string {
	_, fs := newHookFlags()
	return `Usage: ` + binary + ` hook [options] <file>|-
       ` + binary + ` hook -serve <address> [options]

  Rewrites a job (HCL or JSON) whose groups are on host networking and have
  connect blocks as for bridge networking: each sidecar becomes a task of this
  driver, with its ports, and the connect block goes. Nothing else of the job
  changes. Prints the job as JSON; what its author should know goes to stderr.
  What cannot work on the host network is refused, with the way out. "-" is
  standard input. A second pass changes nothing.

      $ ` + binary + ` hook web.nomad.hcl | nomad job plan -json -
      $ ` + binary + ` hook web.nomad.hcl | nomad job run -json -

  What it does to the job, and what will not do as its author expects:

      $ ` + binary + ` hook -diff web.nomad.hcl
      $ ` + binary + ` hook -check web.nomad.hcl

  Jobs of the UI, of Terraform and of others go through it where it stands
  before Nomad's HTTP API:

      $ ` + binary + ` hook -serve 127.0.0.1:4645 -nomad http://127.0.0.1:4646

  The exit status is 1 when something is wrong, and 2 when there are warnings
  and -strict is given.

Options:

` + helpOf(fs)
}

func newHookFlags() (*hookOptions, *flag.FlagSet) {
	o := &hookOptions{}
	fs := newFlags("hook")
	fs.Var(&o.vars, "var", "Sets a variable of the job, as `name=value`. May be given more than once. NOMAD_VAR_name in the environment does so, too.")
	fs.Var(&o.varFiles, "var-file", "A `file` with variables of the job. May be given more than once.")
	fs.BoolVar(&o.json, "json", false, "The job is JSON of Nomad's API. What begins with { is taken for that anyway. With -check, print the findings as JSON.")
	fs.BoolVar(&o.check, "check", false, "Print what is refused and what will not do as the author expects, with the line and the way out, and no job.")
	fs.BoolVar(&o.strict, "strict", false, "With warnings write no job, and exit with status 2.")
	fs.Var(&o.ignore, "ignore", "The `code` of warnings that are not to be told of. May be given more than once.")
	fs.StringVar(&o.out, "out", "", "The `file` to write the job to instead of stdout. It is there as a whole or not at all.")
	fs.BoolVar(&o.diff, "diff", false, "Print what would change, in the words of job files, and no job. The exit status is 0 with and without changes.")
	fs.BoolVar(&o.dynamicPorts, "dynamic-ports", false, "Let Nomad choose where apps find their upstreams; they read it from NOMAD_UPSTREAM_ADDR_<destination>. Otherwise an upstream's local_bind_port is reserved on the node, and two instances run on two nodes.")
	fs.StringVar(&o.upstreamNet, "upstream-network", "", "The host network, by its `name`, that ports of upstreams are taken from: that of 127.0.0.0/8, where apps find them. Without it they are the node's default network's, and Nomad may give another job's port on 127.0.0.1 the same number.")
	o.serve.flags(fs)
	return o, fs
}

func parseHookFlags(args []string) (*hookOptions, error) {
	o, fs := newHookFlags()
	if err := fs.Parse(args); err != nil {
		return nil, fmt.Errorf("%w; see %s hook -help", err, binary)
	}
	for _, code := range o.ignore {
		if !slices.Contains(hook.Codes, code) {
			return nil, fmt.Errorf("-ignore=%s: no warning has that code; there are %s", code, strings.Join(hook.Codes, ", "))
		}
	}
	if err := o.serve.validate(fs); err != nil || o.serve.address != "" {
		return o, err
	}
	switch {
	case fs.NArg() != 1:
		return nil, fmt.Errorf("%d files are given; the hook takes one job file after the options, or - for standard input", fs.NArg())
	case o.diff && o.out != "":
		return nil, errors.New("-diff cannot go with -out: it writes no job")
	case o.check && (o.diff || o.out != ""):
		return nil, errors.New("-check goes neither with -diff nor with -out: it writes no job")
	}
	o.file = fs.Arg(0)
	return o, nil
}

// Run implements cli.Command.
func (c *hookCommand) Run(args []string) int {
	status, err := c.run(args)
	if err != nil {
		c.ui.Error(err.Error())
		return 1
	}
	return status
}

func (c *hookCommand) run(args []string) (int, error) {
	o, err := parseHookFlags(args)
	if err != nil {
		return 1, err
	}
	if o.serve.address != "" {
		return 0, o.serve.run(o.rewrite(), o.ignore)
	}
	source, err := c.source(o)
	if err != nil {
		return 1, err
	}
	if o.check {
		return c.check(o, source)
	}
	job, err := hook.Parse(source)
	if err != nil {
		return 1, err
	}
	result, err := hook.Rewrite(job, o.rewrite())
	if err != nil {
		return 1, err
	}
	warnings := hook.Locate(source, job, o.heard(result.Warnings))
	for _, warning := range warnings {
		c.ui.Warn(lineOf(severityWarning, warning))
	}
	status := 0
	if o.strict && len(warnings) > 0 {
		status = statusWarned
	}
	switch {
	case o.diff:
		return status, c.showDiff(source.Path, job, result.Job)
	case status != 0:
		return status, nil
	}
	return 0, c.write(o.out, result.Job)
}

func (o *hookOptions) rewrite() hook.Options {
	return hook.Options{DynamicPorts: o.dynamicPorts, UpstreamNetwork: o.upstreamNet}
}

func (c *hookCommand) showDiff(name string, before, after *api.Job) error {
	diff, err := hook.Diff(name, before, after)
	if err == nil && diff != "" {
		c.ui.Output(strings.TrimSuffix(diff, "\n")) // Output ends the line
	}
	return err
}

func (c *hookCommand) write(out string, job *api.Job) error {
	text, err := hook.Encode(job)
	if err != nil {
		return err
	}
	if out != "" {
		return writeWhole(out, text)
	}
	c.ui.Output(strings.TrimSuffix(string(text), "\n"))
	return nil
}

func (c *hookCommand) source(o *hookOptions) (hook.Source, error) {
	source := hook.Source{Path: o.file, JSON: o.json && !o.check, Vars: o.vars, VarFiles: o.varFiles, Env: os.Environ()}
	var err error
	if o.file == "-" {
		source.Path = "stdin" // as nomad has it
		source.Body, err = io.ReadAll(c.stdin)
	} else {
		source.Body, err = os.ReadFile(o.file)
	}
	if err != nil {
		return source, fmt.Errorf("read the job: %w", err)
	}
	return source, nil
}
