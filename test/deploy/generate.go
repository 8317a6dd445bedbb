package main

import (
	"errors"
	"os"
	"path/filepath"
)

// generate writes what is committed of the rendered chart.
func generate() error {
	files, err := generated()
	if err != nil {
		return err
	}
	for name, content := range files {
		name = filepath.Join(repository, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o777), os.WriteFile(name, []byte(content), 0o666)); err != nil {
			return err
		}
	}
	return nil
}

// generated is what is committed of the rendered chart, by the path in the
// repository.
func generated() (map[string]string, error) {
	i := installation{namespace: defaultNamespace}
	rendered, err := i.render()
	if err != nil {
		return nil, err
	}
	const notice = "# Rendered from deploy/chart/sluice by make generate.\n"
	files := map[string]string{
		"deploy/kustomize/base/namespace.yaml": notice + rendered.namespace,
		"deploy/kustomize/base/crds.yaml":      notice + rendered.definitions,
		"deploy/kustomize/base/sluice.yaml":    notice + rendered.objects,
	}
	definitions, err := readDefinitions()
	for name, content := range definitions {
		files[filepath.Join("deploy/chart/sluice/crds", name)] = content
	}
	return files, err
}

// readDefinitions are Sluice's own CustomResourceDefinitions, by file name. The
// chart has a copy, because Helm installs only what lies in a chart.
func readDefinitions() (map[string]string, error) {
	names, err := filepath.Glob(filepath.Join(repository, "deploy/crds/*.yaml"))
	if err != nil {
		return nil, err
	}
	files := map[string]string{}
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		files[filepath.Base(name)] = string(content)
	}
	return files, nil
}
