package serve

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"nomad-driver-connect/hook"
)

const planned = `{"JobModifyIndex":7,"Warnings":"","Diff":{"Type":"Added"}}`

// A job that is registered, planned or validated goes through the hook, wherever
// it is sent.
func TestServe_rewrites(t *testing.T) {
	t.Parallel()
	n := newNomad(t, says(200, planned))
	s := before(t, n)
	for _, method := range []string{http.MethodPut, http.MethodPost} {
		for _, path := range []string{
			"/v1/jobs", "/v1/validate/job", "/v1/job/shop", "/v1/job/shop/plan",
			"/v1/job/team%2Fshop/plan", "/v1/job/team/Shop.v2", "/v1/job/team/tag/shop", "/v1/job/team%2Ftag%2Fshop", "/v1/jobs?region=global&namespace=team",
		} {
			response, body := send(t, request(t, method, s.url+path, strings.NewReader(inside(meshed(t)))))
			must.Eq(t, 200, response.StatusCode)
			isRewritten(t, n.one(t).body)
			var answer map[string]any
			must.NoError(t, json.Unmarshal([]byte(body), &answer))
			must.StrHasPrefix(t, "1 warning:\n\n* group \"g\", service \"web\"", answer["Warnings"].(string))
			must.Eq(t, any(map[string]any{"Type": "Added"}), answer["Diff"])
		}
	}
}

// All that stands beside the job, and what follows, is Nomad's as it was.
func TestServe_besideTheJob(t *testing.T) {
	t.Parallel()
	n := newNomad(t, says(200, "{}"))
	s := before(t, n)
	ahead := ` { "Submission" : {"Source":"job \"web\" {}", "Format":"hcl2", "VariableFlags":{"a":"\u003c1"}}, "EnforceIndex":true,
 "Big": 12345678901234567890, "job" : `
	after := `, "PreserveCounts": true , "Newer":{"x":[1.50, 1e3]} }` + "\n\n"
	put(t, s.url+"/v1/jobs", ahead+meshed(t)+after)
	got := n.one(t).body
	must.StrHasPrefix(t, ahead+`{"`, got)
	must.StrHasSuffix(t, "}"+after, got)
	isRewritten(t, got)
}

// What the hook has made of a job it leaves alone: a second plan shows nothing.
func TestServe_again(t *testing.T) {
	t.Parallel()
	n := newNomad(t, says(200, planned))
	s := before(t, n)
	put(t, s.url+"/v1/jobs", inside(meshed(t)))
	first := n.one(t).body
	response, body := put(t, s.url+"/v1/job/shop/plan", first)
	must.Eq(t, first, n.one(t).body)
	must.Eq(t, planned, body)
	must.Eq(t, int64(len(planned)), response.ContentLength)
}

// What nobody is to be told of is not told.
func TestServe_ignores(t *testing.T) {
	t.Parallel()
	n := newNomad(t, says(200, planned))
	s := start(t, Config{Nomad: n.URL, Ignore: []string{"sidecar-config-left-out"}})
	_, body := put(t, s.url+"/v1/jobs", inside(meshed(t)))
	must.Eq(t, planned, body)
	isRewritten(t, n.one(t).body)
}

// What has no job in its body, or none with a sidecar, goes through byte for byte.
func TestServe_asItIs(t *testing.T) {
	t.Parallel()
	n := newNomad(t, says(200, planned))
	s := before(t, n)
	odd := `{ "job":` + strings.Replace(plain(t), `"Name"`, `"nAme"`, 1) + `,"X" : 1 }  `
	for _, r := range []struct{ path, body string }{
		{"/v1/jobs", odd},
		{"/v1/jobs", inside(plain(t))},
		{"/v1/jobs", `{"Job":`},
		{"/v1/jobs", `{"Job":null}`},
		{"/v1/jobs", `{"Job":"web"}`},
		{"/v1/jobs", `{"NoJob":{}}`},
		{"/v1/jobs", `[]`},
		{"/v1/jobs", `not JSON`},
		{"/v1/jobs", ``},
		{"/v1/jobs/parse", `{"JobHCL":"job \"web\" {}","Canonicalize":true}`},
		{"/v1/jobs/statuses", `{"jobs":[{"id":"web"}]}`},
		{"/v1/job/web/scale", `{"Count":3,"Target":{"Job":"web","Group":"g"}}`},
		{"/v1/job/web/scale", inside(meshed(t))},
		{"/v1/job/web/dispatch", `{"Payload":"aGk="}`},
		{"/v1/job/web/revert", `{"JobID":"web","JobVersion":1}`},
		{"/v1/job/web/versions/tag", `{}`},
		{"/v1/job/web/tag/v1", `{"Version":1}`},
		{"/v1/var/nomad/jobs", inside(meshed(t))},
	} {
		_, body := put(t, s.url+r.path, r.body)
		must.Eq(t, r.body, n.one(t).body, must.Sprint(r.path))
		must.Eq(t, planned, body)
	}
	_, _ = send(t, request(t, http.MethodDelete, s.url+"/v1/job/web", strings.NewReader(inside(meshed(t)))))
	must.Eq(t, inside(meshed(t)), n.one(t).body)
}

// A job that cannot be rewritten does not come to Nomad, and its author hears why.
func TestServe_refuses(t *testing.T) {
	t.Parallel()
	n := newNomad(t, says(200, planned))
	s := before(t, n)
	two := strings.Replace(inside(meshed(t)), `"Job":`, `"job":{},"Job":`, 1)
	for body, want := range map[string]string{
		inside(refused(t)):              `group "g", service "web": transparent_proxy`,
		`{"Job":{"ID":7}}`:              "read the job as JSON of Nomad's API: json: cannot unmarshal number into Go struct field Job.ID of type string",
		`{"Job":{"TaskGroups":[null]}}`: "a group of the job is null; remove it",
		two:                             "Job: it is there twice",
		inside(with(t, meshed(t), "TaskGroups.0.Services.0.Connect.Newer", true)): `the rewrite would lose what this program does not know, as a newer Nomad may: Job.TaskGroups["g"].Services["web"].Connect.Newer`,
	} {
		for _, path := range []string{"/v1/jobs", "/v1/job/shop/plan", "/v1/validate/job"} {
			response, said := put(t, s.url+path, body)
			must.Eq(t, http.StatusBadRequest, response.StatusCode)
			must.Eq(t, "text/plain; charset=utf-8", response.Header.Get("Content-Type"))
			must.StrHasPrefix(t, "nomad-driver-connect hook: ", said)
			must.StrContains(t, said, want)
			must.SliceEmpty(t, n.got())
		}
	}
	must.StrContains(t, s.log.String(), `job=refused`)
}

// With -on-error=pass it does come to Nomad, as it was, and a warning says so.
func TestServe_passes(t *testing.T) {
	t.Parallel()
	n := newNomad(t, says(200, planned))
	s := start(t, Config{Nomad: n.URL, OnError: Pass, limit: 1 << 20})
	for _, body := range []string{inside(refusedTwice(t)), `{"Job":{"ID":7}}`} {
		_, said := put(t, s.url+"/v1/jobs", body)
		must.Eq(t, body, n.one(t).body)
		must.StrContains(t, said, `1 warning:\n\n* the job was passed to Nomad without the hook, as the operator wants (-on-error=pass): `)
		var answer struct{ Warnings string }
		must.NoError(t, json.Unmarshal([]byte(said), &answer))
		must.Eq(t, 2, strings.Count(answer.Warnings, "\n"), must.Sprint("a warning is a line"))
	}
	large := inside(`{"ID":"` + strings.Repeat("x", 2<<20) + `"}`)
	put(t, s.url+"/v1/jobs", large)
	must.True(t, large == n.one(t).body, must.Sprint("also one of which not all was read"))
	put(t, s.url+"/v1/jobs", inside(meshed(t)))
	isRewritten(t, n.one(t).body)
}

// What Nomad says of a job it refuses comes back byte for byte, packed or not.
func TestServe_nomadRefuses(t *testing.T) {
	t.Parallel()
	sentence := "1 error occurred:\n\t* Task group \"g\" ünvalid \x00\n\n"
	for _, status := range []int{400, 403, 404, 500} {
		for _, packed := range []bool{false, true} {
			said := sentence
			if packed {
				said = zipped(t, sentence)
			}
			n := newNomad(t, func(w http.ResponseWriter, _ *http.Request) {
				if packed {
					w.Header().Set("Content-Encoding", "gzip")
				}
				w.Header().Set("X-Nomad-Index", "7")
				w.WriteHeader(status)
				_, _ = io.WriteString(w, said)
			})
			response, body := put(t, before(t, n).url+"/v1/jobs", inside(meshed(t)))
			must.Eq(t, status, response.StatusCode)
			must.Eq(t, said, body)
			must.Eq(t, "7", response.Header.Get("X-Nomad-Index"))
		}
	}
}

func TestServe_gzip(t *testing.T) {
	t.Parallel()
	n := newNomad(t, func(w http.ResponseWriter, r *http.Request) {
		must.Eq(t, "gzip", r.Header.Get("Accept-Encoding"))
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = io.WriteString(w, zipped(t, planned))
	})
	s := before(t, n)
	for _, job := range []string{meshed(t), plain(t)} {
		r := request(t, http.MethodPut, s.url+"/v1/jobs", strings.NewReader(zipped(t, inside(job))))
		r.Header.Set("Content-Encoding", "gzip")
		r.Header.Set("Accept-Encoding", "gzip")
		response, body := send(t, r)
		must.Eq(t, "gzip", response.Header.Get("Content-Encoding"))
		got := n.one(t)
		must.Eq(t, "", got.Header.Get("Content-Encoding"), must.Sprint("Nomad does not unpack"))
		must.Eq(t, int64(len(got.body)), got.ContentLength)
		if job == plain(t) {
			must.Eq(t, inside(job), got.body)
			must.Eq(t, zipped(t, planned), body)
			continue
		}
		isRewritten(t, got.body)
		must.StrContains(t, unzipped(t, body), `"Warnings":"1 warning:`)
	}
	r := request(t, http.MethodPut, s.url+"/v1/jobs", strings.NewReader("no gzip"))
	r.Header.Set("Content-Encoding", "gzip")
	response, body := send(t, r)
	must.Eq(t, 400, response.StatusCode)
	must.StrContains(t, body, "unpack the gzip")
}

func TestServe_chunked(t *testing.T) {
	t.Parallel()
	n := newNomad(t, says(200, planned))
	s := before(t, n)
	for _, job := range []string{meshed(t), plain(t)} {
		r := request(t, http.MethodPut, s.url+"/v1/jobs", io.MultiReader(strings.NewReader(inside(job))))
		must.Zero(t, r.ContentLength)
		r.Header.Set("Expect", "100-continue")
		send(t, r)
		got := n.one(t)
		must.Eq(t, int64(len(got.body)), got.ContentLength)
		if job == plain(t) {
			must.Eq(t, inside(job), got.body)
		} else {
			isRewritten(t, got.body)
		}
	}
}

// More than the limit is too much, packed or not.
func TestServe_large(t *testing.T) {
	t.Parallel()
	n := newNomad(t, says(200, planned))
	s := start(t, Config{Nomad: n.URL, limit: 2 << 20})
	data := strings.Repeat("x", 2<<20-10<<10)
	put(t, s.url+"/v1/jobs", inside(with(t, meshed(t), "TaskGroups.0.Tasks.0.Templates", []any{map[string]any{"EmbeddedTmpl": data}})))
	body := n.one(t).body
	isRewritten(t, body)
	must.True(t, *jobIn(t, body).TaskGroups[0].Tasks[0].Templates[0].EmbeddedTmpl == data)

	response, said := put(t, s.url+"/v1/jobs", inside(`{"ID":"`+strings.Repeat("x", 2<<20)+`"}`))
	must.Eq(t, http.StatusRequestEntityTooLarge, response.StatusCode)
	must.StrContains(t, said, "the body is too large: more than 2 MB, which no job needs")
	r := request(t, http.MethodPut, s.url+"/v1/jobs", strings.NewReader(zipped(t, strings.Repeat("x", 2<<20+1))))
	r.Header.Set("Content-Encoding", "gzip")
	response, _ = send(t, r)
	must.Eq(t, http.StatusRequestEntityTooLarge, response.StatusCode)
	must.SliceEmpty(t, n.got())
}

// Names of services can have the namespace in them. Nomad looks for it in the query,
// then beside the job, then in it, and takes "default" when nothing says it.
func TestServe_namespaceOf(t *testing.T) {
	t.Parallel()
	n := newNomad(t, says(200, planned))
	s := start(t, Config{Nomad: n.URL, Hook: hook.Options{DynamicPorts: true}})
	for _, tc := range []struct {
		query, beside, inJob string
		want                 string
	}{
		{"?namespace=team", "other", "third", "web-team"},
		{"", "team", "other", "web-team"},
		{"", "", "team", "web-team"},
		{"", "", "", "web-default"},
	} {
		job := with(t, strings.ReplaceAll(meshed(t), `"Name":"web"`, `"Name":"web-${NOMAD_NAMESPACE}"`), "Namespace", tc.inJob)
		put(t, s.url+"/v1/jobs"+tc.query, `{"Namespace":"`+tc.beside+`","Job":`+job+`}`)
		must.Eq(t, tc.want, jobIn(t, n.one(t).body).TaskGroups[0].Services[0].Name, must.Sprint(tc))
	}
}

// Names of services can have the namespace in them, which a query says.
func TestServe_namespace(t *testing.T) {
	t.Parallel()
	n := newNomad(t, says(200, planned))
	s := start(t, Config{Nomad: n.URL, Hook: hook.Options{DynamicPorts: true}})
	job := strings.ReplaceAll(meshed(t), `"Name":"web"`, `"Name":"web-${NOMAD_NAMESPACE}"`)
	put(t, s.url+"/v1/jobs?namespace=team", inside(job))
	got := jobIn(t, n.one(t).body)
	must.Eq(t, "web-team", got.TaskGroups[0].Services[0].Name)
	must.Eq(t, "default", *got.Namespace, must.Sprint("the query says it"))
}

// with is a job in JSON with something put at a path.
func with(t *testing.T, job, path string, value any) string {
	t.Helper()
	var root any
	must.NoError(t, json.Unmarshal([]byte(job), &root))
	keys := strings.Split(path, ".")
	at := root
	for _, key := range keys[:len(keys)-1] {
		switch inner := at.(type) {
		case map[string]any:
			at = inner[key]
		case []any:
			var i int
			_, err := fmt.Sscan(key, &i)
			must.NoError(t, err)
			at = inner[i]
		}
	}
	at.(map[string]any)[keys[len(keys)-1]] = value
	text, err := json.Marshal(root)
	must.NoError(t, err)
	return string(text)
}
