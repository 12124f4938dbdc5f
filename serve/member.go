package serve

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

var errTwice = errors.New("it is there twice")

// member is where a member's value is in the text of a JSON object.
type member struct {
	start, end int // both 0 when there is none
}

// findMember looks for a member of an object, whose name may be in any case, as
// Go's JSON has it. As Nomad does, it reads one value and leaves alone what follows.
func findMember(text []byte, name string) (found member, err error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	if opening, err := decoder.Token(); err != nil || opening != json.Delim('{') {
		return member{}, fmt.Errorf("it is no object: %w", orUnexpected(err))
	}
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return member{}, err
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return member{}, orUnexpected(err)
		}
		if !strings.EqualFold(key.(string), name) {
			continue
		}
		if found.end > 0 {
			return member{}, fmt.Errorf("%s: %w", name, errTwice)
		}
		end := int(decoder.InputOffset())
		found = member{start: end - len(value), end: end}
	}
	_, err = decoder.Token() // the object's end
	return found, orUnexpected(err)
}

func orUnexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// replaced is the text with another value in the place of the member's.
func (m member) replaced(text, value []byte) []byte {
	out := make([]byte, 0, len(text)-(m.end-m.start)+len(value))
	out = append(out, text[:m.start]...)
	out = append(out, value...)
	return append(out, text[m.end:]...)
}
