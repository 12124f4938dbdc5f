package e2e

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strings"
)

// asApp marks the process that is the app of a job: the test's own binary,
// which takes connections faster than a shell does. It holds the addresses.
const asApp = "E2E_APP"

// askWho is the line that the app answers with the ID of its allocation.
const askWho = "who?"

// runApp sends every line back that it gets, at addresses with commas between them.
func runApp(addresses string) error {
	failed := make(chan error)
	for address := range strings.SplitSeq(addresses, ",") {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		go func() { failed <- acceptLines(listener) }()
	}
	return <-failed
}

func acceptLines(listener net.Listener) error {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer func() { _ = conn.Close() }()
			lines := bufio.NewScanner(conn)
			for lines.Scan() {
				answer, last := answerTo(lines.Text())
				if _, err := fmt.Fprint(conn, answer); err != nil || last {
					return
				}
			}
		}()
	}
}

// answerTo is what the app says to a line. A check speaks HTTP, and gets one answer.
func answerTo(line string) (answer string, last bool) {
	switch {
	case line == askWho:
		return os.Getenv("NOMAD_ALLOC_ID") + "\n", false
	case strings.HasPrefix(line, "GET "):
		return "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", true
	}
	return line + "\n", false
}
