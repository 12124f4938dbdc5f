package driver

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/hashicorp/nomad/plugins/drivers"

	"nomad-driver-connect/envoy"
	"nomad-driver-connect/process"
	"nomad-driver-connect/sidecar"
)

// The operator's settings are defaults for those of the job. Either may be nil.

func envoySettings(operator, job *EnvoyConfig, d envoyDefaults) (envoy.Settings, error) {
	o, j := orZero(operator), orZero(job)
	e := envoy.Settings{
		Named:       j.Path != "",
		Args:        slices.Concat(o.Args, j.Args),
		Concurrency: cmp.Or(j.Concurrency, o.Concurrency, d.workers),
		LogLevel:    cmp.Or(j.LogLevel, o.LogLevel, d.logLevel),
	}
	if e.Concurrency < 1 {
		return e, sidecar.Invalidf("envoy.concurrency", "%d is not a number of threads; it is 1 or more", e.Concurrency)
	}
	if err := oneOf("envoy.log_level", e.LogLevel, envoy.LogLevels()...); err != nil {
		return e, err
	}
	if err := envoy.CheckArgs(e.Args); err != nil {
		return e, sidecar.Invalidf("envoy.args", "%v", err)
	}
	path, err := envoyPath(cmp.Or(j.Path, o.Path))
	if err != nil && e.Named {
		return e, sidecar.Invalidf("envoy.path", "%v", err)
	}
	e.Path = path
	return e, err
}

// envoyPath finds the binary; a name without a slash is looked up in PATH.
func envoyPath(path string) (string, error) {
	found, err := exec.LookPath(cmp.Or(path, "envoy"))
	switch {
	case err == nil:
		return filepath.Abs(found)
	case path == "":
		return "", errors.New("there is no envoy in the PATH of Nomad's agent; install Envoy, or say where it is with plugin \"nomad-driver-connect\" { config { envoy { path = … } } }")
	case errors.Is(err, fs.ErrPermission):
		return "", fmt.Errorf("%s is not an executable file; make it one (chmod +x), or say where Envoy is", path)
	}
	return "", fmt.Errorf("there is no Envoy at %s; install it there, or say where it is", path)
}

func readyTimeout(operator, job *ReadyConfig) (time.Duration, error) {
	return timeout("ready.timeout", cmp.Or(orZero(job).Timeout, orZero(operator).Timeout), defaultReadyTimeout)
}

// drainTimeout is in whole seconds, as Envoy takes it.
func drainTimeout(operator, job *DrainConfig) (time.Duration, error) {
	const field = "drain.timeout"
	d, err := timeout(field, cmp.Or(orZero(job).Timeout, orZero(operator).Timeout), defaultDrainTimeout)
	if err == nil && d%time.Second != 0 {
		err = sidecar.Invalidf(field, "%q is not a number of whole seconds such as \"30s\"", d)
	}
	return d, err
}

func timeout(field, text string, absent time.Duration) (time.Duration, error) {
	if text == "" {
		return absent, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, sidecar.Invalidf(field, "%q is not a positive duration such as \"30s\"", text)
	}
	return d, nil
}

func runSettings(task *drivers.TaskConfig, user process.User) sidecar.Run {
	return sidecar.Run{
		Root: task.AllocDir,
		Dir:  runDir(task),
		User: user,

		Cgroup:  taskCgroup(task),
		Network: network(task),

		Env:    envoyEnv(task),
		Stdout: task.StdoutPath,
		Stderr: task.StderrPath,
	}
}

func orZero[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
