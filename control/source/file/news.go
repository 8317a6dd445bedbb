package file

import (
	"slices"

	"github.com/sluicegateway/sluice/control/diagnostic"
)

// tell takes over what is to be told now, and logs the errors and warnings that came
// and went. It is true if there is any difference.
func (s *Source) tell(now []diagnostic.Diagnostic) bool {
	before := s.told
	if slices.Equal(before, now) {
		return false
	}
	s.told = now
	for _, d := range missingFrom(before, now) {
		switch d.Severity {
		case diagnostic.Error:
			s.log.Error("refused", attributes(d)...)
		case diagnostic.Warning:
			s.log.Warn("noticed", attributes(d)...)
		}
	}
	for _, d := range missingFrom(now, before) {
		if d.Severity == diagnostic.Error {
			s.log.Info("no longer refused", attributes(d)...)
		}
	}
	return true
}

// missingFrom are the diagnostics of all that are not among those.
func missingFrom(those, all []diagnostic.Diagnostic) []diagnostic.Diagnostic {
	known := make(map[diagnostic.Diagnostic]bool, len(those))
	for _, d := range those {
		known[d] = true
	}
	var missing []diagnostic.Diagnostic
	for _, d := range all {
		if !known[d] {
			missing = append(missing, d)
		}
	}
	return missing
}

func attributes(d diagnostic.Diagnostic) []any {
	all := []any{"file", d.File, "line", d.Line, "object", d.Object.String(), "field", d.Field, "problem", d.Message}
	if d.Fix != "" {
		all = append(all, "fix", d.Fix)
	}
	return all
}
