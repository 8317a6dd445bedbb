package file

import (
	"slices"

	"github.com/sluicegateway/sluice/control/diagnostic"
	"github.com/sluicegateway/sluice/control/snapshot"
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
			d.Fix = "" // nothing is left to do
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
	var all []any
	if d.File != "" {
		all = append(all, "file", d.File)
	}
	if d.Line > 0 {
		all = append(all, "line", d.Line)
	}
	if d.Object != (snapshot.Key{}) {
		all = append(all, "object", d.Object.String())
	}
	if d.Field != "" {
		all = append(all, "field", d.Field)
	}
	all = append(all, "problem", d.Message)
	if d.Fix != "" {
		all = append(all, "fix", d.Fix)
	}
	return all
}
