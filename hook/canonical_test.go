package hook

import (
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/stanza"
)

// The job is the same after the hook whether a client has written out what it
// leaves out, as Nomad's UI and its parser do, or not, as nomad's commands do not.
func TestRewrite_canonical(t *testing.T) {
	for _, row := range stanza.Rows() {
		t.Run(row.Name, func(t *testing.T) {
			options := Options{DynamicPorts: row.Dynamic}
			job := parse(t, stanza.Job(row.Group))
			short, err := Rewrite(job, options)
			must.NoError(t, err)
			job.Canonicalize()
			long, err := Rewrite(job, options)
			must.NoError(t, err)
			short.Job.Canonicalize()
			long.Job.Canonicalize()
			diff, err := Diff(row.Name, short.Job, long.Job)
			must.NoError(t, err)
			must.Eq(t, "", diff)
		})
	}
}
