package command

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"nomad-driver-connect/hook"
)

// severities of findings, in JSON and in front of a line.
const (
	severityError   = "error"
	severityWarning = "warning"
)

// statusWarned is the exit status of a job that is right, but for warnings.
const statusWarned = 2

// reported is a finding in JSON. docs/check.md promises the shape: every key is
// there, whatever the finding.
type reported struct {
	File     string `json:"file"`
	Severity string `json:"severity"`
	Code     string `json:"code"`
	Group    string `json:"group"`
	Service  string `json:"service"`
	Task     string `json:"task"`
	Line     int    `json:"line"`
	Problem  string `json:"problem"`
	WayOut   string `json:"way_out"`

	line string // for people
}

// check prints what there is to say of a job, and gives the exit status. A job that
// cannot be read is an error with -json, too, but its sentence is Nomad's.
func (c *hookCommand) check(o *hookOptions, source hook.Source) (int, error) {
	job, err := hook.Parse(source)
	if err != nil {
		return 1, err
	}
	refused, warnings := hook.Check(job, o.rewrite())
	found := report(source.Path, severityError, hook.Locate(source, job, refused))
	found = append(found, report(source.Path, severityWarning, hook.Locate(source, job, o.heard(warnings)))...)
	if err := c.print(found, o.json); err != nil {
		return 1, err
	}
	switch isError := func(r reported) bool { return r.Severity == severityError }; {
	case slices.ContainsFunc(found, isError):
		return 1, nil
	case len(found) > 0 && o.strict:
		return statusWarned, nil
	}
	return 0, nil
}

// heard are the warnings that are not ignored.
func (o *hookOptions) heard(warnings []hook.Finding) []hook.Finding {
	isIgnored := func(f hook.Finding) bool { return slices.Contains(o.ignore, f.Code) }
	return slices.DeleteFunc(slices.Clone(warnings), isIgnored)
}

func report(file, severity string, findings []hook.Finding) []reported {
	var found []reported
	for _, f := range findings {
		found = append(found, reported{
			File: file, Severity: severity, Code: f.Code, Group: f.Group, Service: f.Service, Task: f.Task,
			Line: f.Line, Problem: f.Problem, WayOut: f.WayOut, line: lineOf(severity, f),
		})
	}
	return found
}

// lineOf is a finding for people: the same on every way.
func lineOf(severity string, f hook.Finding) string {
	return fmt.Sprintf("%s%s: %s [%s]", strings.ToUpper(severity[:1]), severity[1:], f, f.Code)
}

func (c *hookCommand) print(found []reported, asJSON bool) error {
	if !asJSON {
		for _, r := range found {
			c.ui.Output(r.line)
		}
		return nil
	}
	if found == nil {
		found = []reported{} // an empty array, not null
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(found); err != nil {
		return fmt.Errorf("write the findings as JSON: %w", err)
	}
	c.ui.Output(string(bytes.TrimSuffix(out.Bytes(), []byte("\n"))))
	return nil
}
