package command

import (
	"testing"

	"github.com/shoenig/test/must"
)

func TestHook_serveMistakes(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"-serve="}, "-serve is where to listen, as 127.0.0.1:4645 or unix:///path, and not empty"},
		{[]string{"-serve=127.0.0.1:0", "a.hcl"}, "1 files are given; with -serve jobs come from clients, and there is none"},
		{[]string{"-serve=127.0.0.1:0", "-diff"}, "-diff is about one job file, and -serve takes jobs as they come; leave one out"},
		{[]string{"-serve=127.0.0.1:0", "-var=a=b"}, "-var is about one job file"},
		{[]string{"-serve=127.0.0.1:0", "-on-error=ignore"}, `-on-error is refuse or pass, and not "ignore"`},
		{[]string{"-serve=127.0.0.1:0", "-drain-timeout=-1s"}, "-drain-timeout is how long requests may take to end, and not -1s"},
		{[]string{"-serve=127.0.0.1:0", "-nomad=ftp://x"}, `-nomad: "ftp://x" is where Nomad's HTTP API is`},
		{[]string{"-serve=127.0.0.1:0", "-tls-cert=x"}, "-tls-cert and -tls-key belong together"},
		{[]string{"-serve=nowhere"}, "-serve: listen tcp: address nowhere: missing port in address"},
		{[]string{"-nomad=http://127.0.0.1:4646", "a.hcl"}, "-nomad is for -serve; leave it out, or say with -serve where to listen"},
		{[]string{"-on-error=pass", "a.hcl"}, "-on-error is for -serve"},
	} {
		status, stdout, stderr := runHook("", tc.args...)
		must.Eq(t, 1, status, must.Sprint(tc.args))
		must.Eq(t, "", stdout)
		must.StrContains(t, stderr, tc.want)
	}
}

// Nomad is where its own commands look for it.
func TestHook_serveNomad(t *testing.T) {
	t.Setenv("NOMAD_ADDR", "https://nomad.example:4646")
	o, err := parseHookFlags([]string{"-serve", "127.0.0.1:0"})
	must.NoError(t, err)
	must.Eq(t, "https://nomad.example:4646", o.serve.nomad)
	o, err = parseHookFlags([]string{"-serve", "127.0.0.1:0", "-nomad", "unix:///run/nomad.sock"})
	must.NoError(t, err)
	must.Eq(t, "unix:///run/nomad.sock", o.serve.nomad)
}
