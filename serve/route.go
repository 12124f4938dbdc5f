package serve

import (
	"net/http"
	"slices"
	"strings"
)

// otherEndings are the paths below a job's that say something else than the
// job itself. Nomad tells them apart by how the path ends, and so a job "a/scale"
// cannot be registered at its own path there, either.
var otherEndings = []string{
	"/evaluate", "/allocations", "/evaluations", "/periodic/force", "/summary", "/dispatch", "/dispatch/payload",
	"/versions", "/revert", "/deployments", "/deployment", "/stable", "/scale", "/services", "/submission",
	"/actions", "/action", "/tag",
}

// carriesJob tells whether a request has a job in its body: one that is
// registered, planned or validated. /v1/jobs/parse has the text of one, and its answer
// is what the text says; the job comes back when it is planned or registered.
// /v1/job/<id>/scale has a number.
func carriesJob(r *http.Request) bool {
	if r.Method != http.MethodPut && r.Method != http.MethodPost {
		return false
	}
	switch r.URL.Path {
	case "/v1/jobs", "/v1/validate/job":
		return true
	}
	id, ok := strings.CutPrefix(r.URL.Path, "/v1/job/")
	if !ok {
		return false
	}
	isAnother := func(ending string) bool { return strings.HasSuffix(id, ending) }
	return !slices.ContainsFunc(otherEndings, isAnother)
}
