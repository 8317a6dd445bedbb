package sluice

import (
	"go/ast"
	"go/doc"
	"go/token"
	"slices"
	"testing"
)

// checkComments wants a comment on the package and on each exported name.
func checkComments(t *testing.T, p string, fset *token.FileSet, files []*ast.File) {
	documented, err := doc.NewFromFiles(fset, files, p)
	if err != nil {
		t.Fatal(err)
	}
	comments := map[string]string{"the package": documented.Doc}
	functions, values := documented.Funcs, slices.Concat(documented.Consts, documented.Vars)
	for _, typ := range documented.Types {
		comments[typ.Name] = typ.Doc
		functions, values = slices.Concat(functions, typ.Funcs, typ.Methods), slices.Concat(values, typ.Consts, typ.Vars)
	}
	for _, function := range functions {
		comments[function.Recv+" "+function.Name] = function.Doc
	}
	for _, group := range values {
		for _, spec := range group.Decl.Specs {
			s := spec.(*ast.ValueSpec)
			comments[s.Names[0].Name] = group.Doc + s.Doc.Text() + s.Comment.Text()
		}
	}
	for name, comment := range comments {
		if comment == "" {
			t.Errorf("%s: %s has no comment", p, name)
		}
	}
}
