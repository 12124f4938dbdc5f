package hook

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/jobspec2"
	"github.com/shoenig/test/must"
)

// Lines are those of the file, whatever it makes its blocks of.
func TestLocate(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, hcl, on string }{
		{"written out", `job "j" {
  group "g" {
    service {
      name = "other"
    }
    service {
      name = "web"
      check_restart { # here
        limit = 1
      }
    }
  }
}`, ""},
		{"the name has a variable", `variable "name" {
  default = "web"
}
job "j" {
  group "g" {
    service {
      name = "${var.name}-other"
    }
    service {
      name = var.name
      check_restart { # here
        limit = 1
      }
    }
  }
}`, ""},
		{"made for each", `job "j" {
  dynamic "group" {
    for_each = ["g"]
    labels   = [group.value]
    content {
      dynamic "service" {
        for_each = ["other", "web"]
        content {
          name = service.value
          check_restart { # here
            limit = 1
          }
        }
      }
    }
  }
}`, ""},
		{"what is meant is not written", `job "j" {
  group "g" {
    service { # here
      name = "web"
    }
  }
}`, ""},
		{"the service cannot be found", `job "j" {
  group "g" { # here
    dynamic "service" {
      for_each = ["web"]
      content {
        name = service.value
      }
    }
    dynamic "service" {
      for_each = ["other"]
      content {
        name = service.value
      }
    }
  }
}`, ""},
		{"HCL as JSON", `{
  "job": {
    "j": {
      "group": {
        "g": {
          "service": [
            {"name": "other"},
            {
              "name": "web",
              "check_restart": {
                "limit": 1
              }
            }
          ]
        }
      }
    }
  }
}`, `"check_restart": {`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			job, err := jobspec2.ParseWithConfig(&jobspec2.ParseConfig{Path: "j.nomad.hcl", Body: []byte(tc.hcl)})
			must.NoError(t, err)
			found := Locate(Source{Body: []byte(tc.hcl)}, job, []Finding{{Group: "g", Service: "web", at: "check_restart"}})
			on := tc.on
			if on == "" {
				on = "# here"
			}
			must.Positive(t, found[0].Line)
			must.StrContains(t, strings.Split(tc.hcl, "\n")[found[0].Line-1], on)
		})
	}
}

// What is not in the file has no line, and the API's JSON has none.
func TestLocate_unknown(t *testing.T) {
	t.Parallel()
	hcl := "job \"j\" {\n group \"g\" {\n }\n}"
	job := parse(t, hcl)
	for body, want := range map[string]int{
		hcl:                          0,
		encode(t, job):               0,
		"job \"j\" {":                0,
		"":                           0,
		"job \"a\" {}\njob \"b\" {}": 0,
	} {
		found := Locate(Source{Body: []byte(body)}, job, []Finding{{Group: "missing"}, {}})
		must.Eq(t, want, found[0].Line, must.Sprint(body))
		must.Eq(t, 0, found[1].Line)
	}
	found := Locate(Source{Body: []byte(hcl)}, job, []Finding{{Group: "g", Task: "missing"}})
	must.Eq(t, 2, found[0].Line, must.Sprint("as near as can be"))
}

// Any job can be checked and its findings located; the job stays as it is.
func FuzzCheck(f *testing.F) {
	for _, tc := range checkCases {
		for _, hcl := range append(tc.loud, tc.silent...) {
			f.Add([]byte(hcl))
			if job := parseAny([]byte(hcl)); job != nil {
				text, err := Encode(job)
				must.NoError(f, err)
				f.Add(text)
			}
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		job := parseAny(body)
		if job == nil {
			return
		}
		before := fmt.Sprint(Encode(job))
		refused, warnings := Check(job, Options{})
		must.Eq(t, before, fmt.Sprint(Encode(job)))
		for _, found := range Locate(Source{Body: body}, job, append(refused, warnings...)) {
			must.True(t, found.Line >= 0 && found.Line <= strings.Count(string(body), "\n")+1)
			must.NotEq(t, "", found.Problem)
		}
	})
}
