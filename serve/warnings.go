package serve

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
)

// addWarnings puts warnings of the hook into Nomad's answer, where its commands, its
// UI and its SDK look for them. An answer that has no place for them stays as it is.
func addWarnings(answer *http.Response, warnings []string) error {
	if len(warnings) == 0 || answer.StatusCode != http.StatusOK {
		return nil
	}
	packed := strings.EqualFold(answer.Header.Get("Content-Encoding"), "gzip")
	came, err := io.ReadAll(answer.Body)
	if err != nil {
		return fmt.Errorf("read Nomad's answer: %w", err)
	}
	text := came
	if packed {
		if text, err = unpack(came, math.MaxInt32); err != nil {
			return fmt.Errorf("read Nomad's answer: %w", err)
		}
	}
	if told, ok := tell(text, warnings); ok {
		came = told
		if packed {
			came = pack(told)
		}
	}
	answer.Body = io.NopCloser(bytes.NewReader(came))
	answer.ContentLength = int64(len(came))
	answer.Header.Set("Content-Length", strconv.Itoa(len(came)))
	answer.TransferEncoding = nil
	return nil
}

// tell is an answer with warnings more; ok is false when it is no object.
func tell(answer []byte, warnings []string) (told []byte, ok bool) {
	at, err := findMember(answer, "Warnings")
	if err != nil {
		return nil, false
	}
	var nomads string
	if at.end > 0 {
		if err := json.Unmarshal(answer[at.start:at.end], &nomads); err != nil {
			return nil, false
		}
		return at.replaced(answer, quote(listed(nomads, warnings))), true
	}
	brace := bytes.IndexByte(answer, '{') + 1
	first := append([]byte(`"Warnings":`), quote(listed("", warnings))...)
	if !bytes.HasPrefix(bytes.TrimSpace(answer[brace:]), []byte("}")) {
		first = append(first, ',')
	}
	return member{start: brace, end: brace}.replaced(answer, first), true
}

// listed are warnings in Nomad's form, after those that are there.
func listed(nomads string, warnings []string) string {
	var lines []string
	if _, list, ok := strings.Cut(nomads, "\n\n* "); ok {
		lines = strings.Split(list, "\n* ")
	} else if nomads != "" {
		lines = []string{nomads}
	}
	for _, warning := range warnings {
		lines = append(lines, strings.TrimSpace(warning))
	}
	header := "1 warning:\n"
	if len(lines) > 1 {
		header = fmt.Sprintf("%d warnings:\n", len(lines))
	}
	return header + "\n* " + strings.Join(lines, "\n* ")
}

func quote(text string) []byte {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err) // of a text it has none
	}
	return quoted
}
