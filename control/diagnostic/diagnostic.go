// Package diagnostic is what Sluice tells a person about the objects they wrote.
package diagnostic

import "github.com/sluicegateway/sluice/control/snapshot"

// Severity says how bad it is.
type Severity string

// The severities.
const (
	// Error: the object, or a part of it, is not served as written.
	Error Severity = "error"
	// Warning: it is served, and a reviewer would ask whether it is meant.
	Warning Severity = "warning"
	// Info: good to know.
	Info Severity = "info"
)

// Diagnostic is one finding. JSON names are part of `sluice check -o json`.
type Diagnostic struct {
	Severity Severity `json:"severity"`
	// File, Line and Column (from 1) say where, if the object came from a file.
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	// Object is the object it is about; zero if the document was no object.
	Object snapshot.Key `json:"object,omitzero"`
	// Field is the path in the object, as the API writes it: spec.rules[0].filters[1].
	Field string `json:"field,omitempty"`
	// Message says what is wrong and why.
	Message string `json:"message"`
	// Fix says what to do.
	Fix string `json:"fix,omitempty"`
}
