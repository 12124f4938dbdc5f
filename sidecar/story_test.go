package sidecar_test

import (
	"strings"

	"github.com/hashicorp/go-hclog"
	"github.com/shoenig/test/must"
)

// What a sidecar tells: the user in events, the operator in the log.

func (b *bench) emit(sentence string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, sentence)
}

// logger keeps what is logged.
func (b *bench) logger() hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{Output: logWriter{b}, Level: hclog.Info})
}

type logWriter struct{ b *bench }

func (w logWriter) Write(p []byte) (int, error) {
	w.b.mu.Lock()
	defer w.b.mu.Unlock()
	return w.b.log.Write(p)
}

// logged counts the lines of the log with some words.
func (b *bench) logged(part string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Count(b.log.String(), part)
}

// said counts the events with some words.
func (b *bench) said(part string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, e := range b.events {
		if strings.Contains(e, part) {
			n++
		}
	}
	return n
}

func (b *bench) sawEvent(part string) func() bool {
	return func() bool { return b.said(part) > 0 }
}

// mustSay fails with all events when none has some words.
func (b *bench) mustSay(part string) {
	b.t.Helper()
	must.True(b.t, b.sawEvent(part)(), must.Sprintf("no event says %q", part), b.story())
}

// story tells all events where a test fails.
func (b *bench) story() must.Setting {
	b.mu.Lock()
	defer b.mu.Unlock()
	return must.Sprint("all events:\n" + strings.Join(b.events, "\n"))
}
