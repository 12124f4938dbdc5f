package envoy

import (
	"regexp"
	"slices"
	"strings"
	"time"
)

// Some of what Envoy has to say is in its log alone: why it ended, and why it refused
// clusters. A user may give it another format (--log-format); nothing is found then.

// logLine is one with Envoy's own format: its time, level, component, and text.
var logLine = regexp.MustCompile(`^\[([0-9-]+ [0-9:.]+)\]\[\d+\]\[(\w+)\]\[(\w+)\] \[[^\]]*\] (.*)$`)

type logged struct {
	at                     time.Time // in the time zone of the machine
	level, component, text string
}

// parseLog gives the lines of a log with Envoy's own format.
func parseLog(log []byte) []logged {
	var lines []logged
	for line := range strings.Lines(string(log)) {
		match := logLine.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if match == nil {
			continue // the rest of one of several lines, or another's
		}
		at, err := time.ParseInLocation("2006-01-02 15:04:05.999", match[1], time.Local)
		if err == nil {
			lines = append(lines, logged{at, match[2], match[3], match[4]})
		}
	}
	return lines
}

// lastComplaint is the last one since a time; empty for none.
func lastComplaint(log []byte, since time.Time) string {
	for _, line := range slices.Backward(parseLog(log)) {
		if !line.at.Before(since) && line.isComplaint() {
			return safe(line.text)
		}
	}
	return ""
}

// isComplaint knows errors. Of a crash Envoy says what it was caught at, and then the
// stack in many lines, which are for developers.
func (l logged) isComplaint() bool {
	stack := l.component == "backtrace" && !strings.HasPrefix(l.text, "Caught")
	return (l.level == "error" || l.level == "critical") && !stack
}

// loggedRefusal is Envoy's last reason why it refused an update of "cluster" or
// "listener"; empty for none.
func loggedRefusal(log []byte, kind string) string {
	for _, line := range slices.Backward(parseLog(log)) {
		update, why, found := strings.Cut(line.text, " rejected: ")
		about := strings.ToLower(update + why[:min(len(why), len("Error adding/updating listener"))])
		if found && line.component == "config" && strings.Contains(about, kind) {
			return safe(strings.TrimPrefix(why, "Error adding/updating "+kind+"(s) "))
		}
	}
	return ""
}

// safe is a text for an event: short, and without the bootstrap, which Envoy adds to
// some of its complaints.
func safe(text string) string {
	return truncate(strings.TrimSpace(wholeBootstrap.ReplaceAllString(text, "")))
}
