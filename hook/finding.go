package hook

import (
	"fmt"
	"strings"
)

// Finding is what will not do as the author of a job expects.
type Finding struct {
	Code    string // stable: docs/check.md has all of them
	Group   string
	Task    string
	Service string
	Line    int // in the job's file; 0 when it is unknown
	Problem string
	WayOut  string
}

// String is a finding as a line for people.
func (f Finding) String() string {
	text := f.where() + ": " + f.Problem
	if f.WayOut != "" {
		text += "; " + f.WayOut
	}
	return text
}

func (f Finding) where() string {
	var parts []string
	for _, part := range []struct{ kind, name string }{{"group", f.Group}, {"service", f.Service}, {"task", f.Task}} {
		if part.name != "" {
			parts = append(parts, fmt.Sprintf("%s %q", part.kind, part.name))
		}
	}
	where := strings.Join(parts, ", ")
	if where == "" {
		where = "the job"
	}
	if f.Line > 0 {
		where += fmt.Sprintf(" (line %d)", f.Line)
	}
	return where
}

// refusal is why a group or a service cannot be on the host network.
type refusal struct {
	group, service string
	err            error
}

func (r *refusal) Error() string { return r.finding().String() }

func (r *refusal) Unwrap() error { return r.err }

func (r *refusal) finding() Finding {
	return Finding{Code: "refused", Group: r.group, Service: r.service, Problem: r.err.Error()}
}
