package serve

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"

	"github.com/hashicorp/nomad/api"

	"nomad-driver-connect/hook"
)

// hooked is how jobs are rewritten.
type hooked struct {
	options hook.Options
	ignore  []string
}

// verdict is what becomes of the body of a request.
type verdict struct {
	body     []byte // for Nomad
	changed  bool
	warnings []string
}

// rewriteBody has the hook rewrite the job in a body.
func (h hooked) rewriteBody(body []byte, query url.Values) (verdict, error) {
	asItIs := verdict{body: body}
	at, found, err := findJob(body)
	if err != nil || !found {
		return asItIs, err
	}
	job, warnings, err := h.rewriteJob(body[at.start:at.end], placeOf(body, query))
	if err != nil {
		return verdict{}, err
	}
	if job == nil {
		asItIs.warnings = warnings
		return asItIs, nil
	}
	return verdict{body: at.replaced(body, job), changed: true, warnings: warnings}, nil
}

// findJob looks for the job in a body. What is no JSON object with a job has none:
// Nomad takes it no more than this does, and says so itself.
func findJob(body []byte) (at member, found bool, err error) {
	switch at, err = findMember(body, "Job"); {
	case errors.Is(err, errTwice):
		return member{}, false, err
	case err != nil:
		return member{}, false, nil //nolint:nilerr // Nomad says it
	}
	return at, at.end > 0 && bytes.HasPrefix(body[at.start:], []byte("{")), nil
}

// rewriteJob gives the job as it is after the hook; nil when it stays as it is.
func (h hooked) rewriteJob(text []byte, at place) (_ []byte, warnings []string, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("the hook has a fault of its own, which this job brings out: %v", fault)
		}
	}()
	var job *api.Job
	if err := decode(text, &job); err != nil {
		return nil, nil, fmt.Errorf("read the job as JSON of Nomad's API: %w; this program knows the API of Nomad 1.11", err)
	}
	at.tell(job)
	result, err := hook.Rewrite(job, h.options)
	if err != nil {
		return nil, nil, err
	}
	for _, warning := range result.Warnings {
		if !slices.Contains(h.ignore, warning.Code) {
			warnings = append(warnings, warning.String())
		}
	}
	c, err := newChange(job, result.Job)
	if err != nil || !c.any() {
		return nil, warnings, err
	}
	rewritten, err := c.apply(text)
	return rewritten, warnings, err
}

// place is the namespace and the region that a request is for.
type place struct{ Namespace, Region string }

// placeOf reads it where Nomad does: in the query, and else beside the job.
func placeOf(body []byte, query url.Values) place {
	var at place
	if err := decode(body, &at); err != nil {
		at = place{} // Nomad says it
	}
	at.Namespace = cmp.Or(query.Get("namespace"), at.Namespace)
	at.Region = cmp.Or(query.Get("region"), at.Region)
	return at
}

// tell tells the hook of the place, which names can have in them. It holds, and not
// what the job says; a job of which nothing says it is in the namespace "default".
func (at place) tell(job *api.Job) {
	if at.Region != "" {
		job.Region = &at.Region
	}
	if at.Namespace == "" && job.Namespace != nil {
		at.Namespace = *job.Namespace
	}
	at.Namespace = cmp.Or(at.Namespace, api.DefaultNamespace)
	job.Namespace = &at.Namespace
}

// decode keeps numbers as they are written, and passes by what it does not know.
func decode(text []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	return decoder.Decode(into)
}
