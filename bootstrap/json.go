package bootstrap

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// value is a piece of JSON that a user wrote, and where it stands.
type value struct {
	offset int    // of its first byte in the text
	token  any    // json.Delim, string, json.Number, bool or nil
	names  []name // of an object's members
	items  []value
}

type name struct {
	text   string
	offset int
}

// maxText is far more than any configuration has.
const maxText = 1 << 20

// maxDepth is how deep Envoy's JSON reader goes.
const maxDepth = 100

// jsonText is what a user wrote. Prefix is what was put before it to make it a
// whole, and does not count in positions.
type jsonText struct{ prefix, text, suffix string }

// mistake is a position in the text and what is wrong there.
func (t jsonText) mistake(offset int, format string, args ...any) error {
	before := t.text[:max(0, min(offset-len(t.prefix), len(t.text)))]
	line := 1 + strings.Count(before, "\n")
	column := 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
	return fmt.Errorf("line %d, column %d: %s", line, column, fmt.Sprintf(format, args...))
}

// parse reads exactly one JSON value.
func (t jsonText) parse() (value, error) {
	if len(t.text) > maxText {
		return value{}, errors.New("it is longer than 1 MiB")
	}
	whole := t.prefix + t.text + t.suffix
	p := parser{jsonText: t, whole: whole, dec: json.NewDecoder(strings.NewReader(whole))}
	p.dec.UseNumber()
	v, err := p.value(0)
	if err != nil {
		return v, p.explain(err)
	}
	end := p.next()
	if _, err := p.dec.Token(); !errors.Is(err, io.EOF) {
		return v, t.mistake(end, "the text should end here")
	}
	return v, nil
}

type parser struct {
	jsonText
	whole string
	dec   *json.Decoder
}

// next is where the next token begins.
func (p *parser) next() int {
	at := int(p.dec.InputOffset())
	return at + len(p.whole[at:]) - len(strings.TrimLeft(p.whole[at:], " \t\r\n,:"))
}

func (p *parser) value(depth int) (value, error) {
	v := value{offset: p.next()}
	if depth > maxDepth {
		return v, p.mistake(v.offset, "nested more than %d levels deep", maxDepth)
	}
	var err error
	if v.token, err = p.dec.Token(); err != nil {
		return v, err
	}
	opening, ok := v.token.(json.Delim)
	if !ok {
		return v, nil
	}
	known := map[string]bool{}
	for p.dec.More() {
		if opening == '{' {
			next, err := p.name(known)
			if err != nil {
				return v, err
			}
			v.names = append(v.names, next)
		}
		item, err := p.value(depth + 1)
		if err != nil {
			return v, err
		}
		v.items = append(v.items, item)
	}
	_, err = p.dec.Token() // the closing one
	return v, err
}

// name reads the name of an object's next member, which is not yet known.
func (p *parser) name(known map[string]bool) (name, error) {
	at := p.next()
	token, err := p.dec.Token()
	if err != nil {
		return name{}, err
	}
	text, _ := token.(string)
	if known[text] {
		return name{}, p.mistake(at, "%q is given twice", text)
	}
	known[text] = true
	return name{text, at}, nil
}

// explain gives the decoder's complaints the form of mistake.
func (p *parser) explain(err error) error {
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return p.mistake(p.next(), "it is not JSON: %v", syntax)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return p.mistake(len(p.whole), "it is not JSON: it ends too early")
	}
	return err
}

// kind says what a value is, for a sentence.
func (v value) kind() string {
	switch token := v.token.(type) {
	case json.Delim:
		if token == '{' {
			return "an object"
		}
		return "a list"
	case string:
		return "a string"
	case json.Number:
		return "a number"
	case bool:
		return "a boolean"
	}
	return "null"
}

func (v value) isObject() bool { return v.token == json.Delim('{') }
func (v value) isList() bool   { return v.token == json.Delim('[') }

// plain is the value as encoding/json has it.
func (v value) plain() any {
	switch {
	case v.isObject():
		object := make(map[string]any, len(v.items))
		for i, item := range v.items {
			object[v.names[i].text] = item.plain()
		}
		return object
	case v.isList():
		list := make([]any, len(v.items))
		for i, item := range v.items {
			list[i] = item.plain()
		}
		return list
	}
	return v.token
}
