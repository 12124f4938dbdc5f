package bootstrap

import (
	"errors"
	"fmt"
	"regexp"
	"text/template"
	"text/template/parse"
)

// Users' templates run in a program that others depend on, and nothing can
// interrupt one. So a template may do no more than its length says: no loops
// but over the list it is given, no templates within templates, no text that
// grows without end.

// maxTemplate is far more than any bootstrap has.
const maxTemplate = 1 << 20

func parseTemplate(text string) (*template.Template, error) {
	if len(text) > maxTemplate {
		return nil, errors.New("it is longer than 1 MiB")
	}
	t, err := template.New("bootstrap").Funcs(limitedFuncs).Parse(text)
	if err != nil {
		return nil, fmt.Errorf("it is not a Go template: %w", err)
	}
	if len(t.Templates()) > 1 {
		return nil, errors.New("{{define}} and {{block}} are not taken")
	}
	if t.Tree == nil { // nothing but comments
		return t, nil
	}
	return t, bounded(t.Root)
}

// bounded refuses what takes longer than the template is long.
func bounded(node parse.Node) error {
	switch n := node.(type) {
	case *parse.ListNode:
		if n == nil {
			return nil
		}
		for _, item := range n.Nodes {
			if err := bounded(item); err != nil {
				return err
			}
		}
	case *parse.TemplateNode:
		return fmt.Errorf("line %d: {{template}} is not taken", n.Line)
	case *parse.RangeNode:
		if !overList(n.Pipe) {
			return fmt.Errorf("line %d: {{range}} is taken over .AdminAccessLogConfig only", n.Line)
		}
		return errors.Join(bounded(n.List), bounded(n.ElseList))
	case *parse.IfNode:
		return errors.Join(bounded(n.List), bounded(n.ElseList))
	case *parse.WithNode:
		return errors.Join(bounded(n.List), bounded(n.ElseList))
	}
	return nil
}

// overList tells whether a range is over the one list that templates have.
func overList(pipe *parse.PipeNode) bool {
	if len(pipe.Cmds) != 1 || len(pipe.Cmds[0].Args) != 1 {
		return false
	}
	text := pipe.Cmds[0].Args[0].String()
	return text == ".AdminAccessLogConfig" || text == "$.AdminAccessLogConfig"
}

// limitedFuncs take the place of those that make text.
var limitedFuncs = template.FuncMap{
	"print":    func(args ...any) (string, error) { return limited(fmt.Sprint(args...)) },
	"println":  func(args ...any) (string, error) { return limited(fmt.Sprintln(args...)) },
	"html":     func(args ...any) (string, error) { return limited(template.HTMLEscaper(args...)) },
	"js":       func(args ...any) (string, error) { return limited(template.JSEscaper(args...)) },
	"urlquery": func(args ...any) (string, error) { return limited(template.URLQueryEscaper(args...)) },
	"printf": func(format string, args ...any) (string, error) {
		if wide.MatchString(format) {
			return "", errors.New("printf: widths and precisions are taken up to 999")
		}
		return limited(fmt.Sprintf(format, args...))
	},
}

// wide are the verbs of a format that make much of little.
var wide = regexp.MustCompile(`%[^a-zA-Z%]*(\d{4}|\*)`)

func limited(text string) (string, error) {
	if len(text) > maxTemplate {
		return "", errors.New("a text grows beyond 1 MiB")
	}
	return text, nil
}
