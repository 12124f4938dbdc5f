package serve

import (
	"encoding/json"
	"testing"

	"github.com/shoenig/test/must"
)

// Warnings are in Nomad's form, and after its own.
func TestTell(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		answer string
		more   []string
		want   string // the warnings
	}{
		{`{"Warnings":""}`, []string{"a"}, "1 warning:\n\n* a"},
		{`{"EvalID":"x","Warnings":"1 warning:\n\n* of Nomad\n  in two lines","Index":3}`, []string{"a", "b"}, "3 warnings:\n\n* of Nomad\n  in two lines\n* a\n* b"},
		{`{"Warnings":"2 warnings:\n\n* x\n* y"}`, []string{"a"}, "3 warnings:\n\n* x\n* y\n* a"},
		{`{"Warnings":"in another form"}`, []string{"a"}, "2 warnings:\n\n* in another form\n* a"},
		{`{"Warnings":null}`, []string{"a"}, "1 warning:\n\n* a"},
		{` {"EvalID":"x"}`, []string{`"<a>"`}, "1 warning:\n\n* \"<a>\""},
		{`{}`, []string{"a"}, "1 warning:\n\n* a"},
	} {
		told, ok := tell([]byte(tc.answer), tc.more)
		must.True(t, ok)
		var answer struct{ Warnings, EvalID string }
		must.NoError(t, json.Unmarshal(told, &answer), must.Sprintf("%s", told))
		must.Eq(t, tc.want, answer.Warnings)
	}
	for _, answer := range []string{``, `null`, `[]`, `{"Warnings":["a"]}`, `{"Warnings":`} {
		_, ok := tell([]byte(answer), []string{"a"})
		must.False(t, ok)
	}
}
