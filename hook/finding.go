package hook

import (
	"errors"
	"fmt"
	"strings"
)

// Finding is what will not do as the author of a job expects.
type Finding struct {
	Code    string // one of Codes, or CodeRefused
	Group   string
	Task    string
	Service string
	Line    int // in the job's file, see Locate; 0 when it is unknown
	Problem string
	WayOut  string

	// at leads from the block of the group, service or task to what is meant:
	// "network/port http/to". Every step but the last is a block.
	at string
}

// CodeRefused is that of what cannot be on the host network, an error.
const CodeRefused = "refused"

// Codes are those of warnings. They are stable: people ignore findings by them.
// docs/check.md says what each means.
var Codes = []string{
	"canary-needs-node",
	"check-restart-grace",
	"closed-field",
	"groups-exclude",
	"left-to-nomad",
	"listener-moved",
	"no-shutdown-delay",
	"off-host-network",
	"one-instance-a-node",
	"own-sidecar-in-bridge",
	"poststop-upstream",
	"prestart-upstream",
	"sidecar-config-left-out",
	"to-left",
	"unreserved-upstream",
	"upstream-replaces",
	"weights-capped",
	"weights-ignored",
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
	return Finding{Code: CodeRefused, Group: r.group, Service: r.service, Problem: r.err.Error()}
}

// refusals are the errors of a job, each by itself.
func refusals(err error) []Finding {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var findings []Finding
		for _, one := range joined.Unwrap() {
			findings = append(findings, refusals(one)...)
		}
		return findings
	}
	var r *refusal
	if errors.As(err, &r) {
		return []Finding{r.finding()}
	}
	return []Finding{{Code: CodeRefused, Problem: err.Error()}}
}
