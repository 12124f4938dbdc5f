package envoy

import (
	"encoding/json"
	"errors"
	"fmt"
)

// An answer that lists much is read as it comes, one item after the other, as it would
// have many times its size in memory.

// maxItems is more than Envoy lists anywhere.
const maxItems = 10_000

// errEnough ends the reading of an answer.
var errEnough = errors.New("no more is needed")

// eachField reads an object. What is done for a field must read its value.
func eachField(answer *json.Decoder, do func(name string) error) error {
	return within(answer, '{', func() error {
		name, err := answer.Token()
		if err != nil {
			return err
		}
		return do(fmt.Sprint(name)) // the decoder lets nothing but strings be names
	})
}

// eachItem reads a list. What is done for an item must read it.
func eachItem(answer *json.Decoder, do func() error) error {
	n := 0
	return within(answer, '[', func() error {
		if n++; n > maxItems {
			return errEnough
		}
		return do()
	})
}

func within(answer *json.Decoder, opening json.Delim, do func() error) error {
	if begin, err := answer.Token(); err != nil || begin != opening {
		return errors.Join(err, fmt.Errorf("found %v in place of %v", begin, opening))
	}
	for answer.More() {
		if err := do(); err != nil {
			return err
		}
	}
	_, err := answer.Token()
	return err
}

// skip reads a value, and keeps nothing of it.
func skip(answer *json.Decoder) error {
	for depth := 0; ; {
		token, err := answer.Token()
		if err != nil {
			return err
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}
