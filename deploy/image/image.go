// Package image writes container images from static programs, as OCI image
// layouts in a tar, without a container engine. The same input gives the same
// bytes: times are zero, and layers are not compressed, because what a
// compressor writes changes with its version. Who pushes to a registry
// compresses there.
package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
)

// Image is what Write writes.
type Image struct {
	// Names are the references that the image is loaded under, like "sluice:dev".
	Names []string
	// Program is the absolute path of the program in the image; it is all that
	// the image holds, and its entrypoint.
	Program string
	// Args come after the program in the entrypoint.
	Args []string
	// User runs it, as "UID" or "UID:GID".
	User string
	// LowPorts lets the program raise the capability to listen on ports below 1024,
	// in containers that have it.
	LowPorts bool
	Labels   map[string]string
	// Builds are the program's files, one for each platform.
	Builds []Build
}

// Build is a program built for a platform of Linux.
type Build struct {
	// Architecture is a GOARCH.
	Architecture string
	// File is the path of a statically linked program.
	File string
}

// Types of blobs, from the OCI image specification.
const (
	typeIndex    = "application/vnd.oci.image.index.v1+json"
	typeManifest = "application/vnd.oci.image.manifest.v1+json"
	typeConfig   = "application/vnd.oci.image.config.v1+json"
	typeLayer    = "application/vnd.oci.image.layer.v1.tar"
)

// The annotations that say an image's name: the specification's, and the one
// that containerd takes before it.
const (
	annotationName           = "org.opencontainers.image.ref.name"
	annotationContainerdName = "io.containerd.image.name"
)

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
}

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Platform    *platform         `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type index struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Manifests     []descriptor `json:"manifests"`
}

type manifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Config        descriptor   `json:"config"`
	Layers        []descriptor `json:"layers"`
}

type config struct {
	platform
	Config runConfig `json:"config"`
	RootFS rootFS    `json:"rootfs"`
}

type runConfig struct {
	User       string            `json:",omitempty"`
	Entrypoint []string          `json:",omitempty"`
	Labels     map[string]string `json:",omitempty"`
}

type rootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

// Write writes the image to w as a tar of an OCI image layout: one index under
// all the names, with a manifest for each build.
func Write(w io.Writer, image Image) error {
	if len(image.Names) == 0 || len(image.Builds) == 0 || !path.IsAbs(image.Program) {
		return fmt.Errorf("an image needs a name, a build and the absolute path of its program; got names %q, %d builds, program %q",
			image.Names, len(image.Builds), image.Program)
	}
	l := layout{tar: tar.NewWriter(w), written: map[string]bool{}}
	if err := l.file("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)); err != nil {
		return err
	}
	platforms := index{SchemaVersion: 2, MediaType: typeIndex}
	for _, build := range image.Builds {
		d, err := l.build(image, build)
		if err != nil {
			return fmt.Errorf("image %s for %s: %w", image.Names[0], build.Architecture, err)
		}
		platforms.Manifests = append(platforms.Manifests, d)
	}
	all, err := l.document(typeIndex, platforms)
	if err != nil {
		return err
	}
	top := index{SchemaVersion: 2, MediaType: typeIndex}
	for _, name := range image.Names {
		named := all
		named.Annotations = map[string]string{annotationName: name, annotationContainerdName: name}
		top.Manifests = append(top.Manifests, named)
	}
	content, err := json.Marshal(top)
	if err != nil {
		return err
	}
	if err := l.file("index.json", content); err != nil {
		return err
	}
	return l.tar.Close()
}

// layout is a tar of an OCI image layout that is being written.
type layout struct {
	tar     *tar.Writer
	written map[string]bool
}

// build writes the layer, config and manifest of one platform.
func (l *layout) build(image Image, build Build) (descriptor, error) {
	program, err := os.ReadFile(build.File)
	if err != nil {
		return descriptor{}, err
	}
	content, err := layer(image, program)
	if err != nil {
		return descriptor{}, err
	}
	files, err := l.blob(typeLayer, content)
	if err != nil {
		return descriptor{}, err
	}
	on := platform{Architecture: build.Architecture, OS: "linux"}
	settings, err := l.document(typeConfig, config{
		platform: on,
		Config:   runConfig{User: image.User, Entrypoint: append([]string{image.Program}, image.Args...), Labels: image.Labels},
		RootFS:   rootFS{Type: "layers", DiffIDs: []string{files.Digest}},
	})
	if err != nil {
		return descriptor{}, err
	}
	d, err := l.document(typeManifest, manifest{SchemaVersion: 2, MediaType: typeManifest, Config: settings, Layers: []descriptor{files}})
	d.Platform = &on
	return d, err
}

// bindLowPorts is vfs_cap_data of revision 2 (capabilities(7)) with
// CAP_NET_BIND_SERVICE as permitted. It is not made effective by itself: then the
// program could not be executed in a container without it.
const bindLowPorts = "\x00\x00\x00\x02" + "\x00\x04\x00\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00"

// layer is a tar of the program and the folders that it lies in.
func layer(image Image, program []byte) ([]byte, error) {
	name := image.Program
	var content bytes.Buffer
	w := tar.NewWriter(&content)
	var folders []string
	for dir := path.Dir(name); dir != "/"; dir = path.Dir(dir) {
		folders = append(folders, dir)
	}
	for _, dir := range slices.Backward(folders) {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir[1:] + "/", Mode: 0o755}); err != nil {
			return nil, err
		}
	}
	file := tar.Header{Typeflag: tar.TypeReg, Name: name[1:], Mode: 0o555, Size: int64(len(program))}
	if image.LowPorts {
		file.PAXRecords = map[string]string{"SCHILY.xattr.security.capability": bindLowPorts}
	}
	if err := w.WriteHeader(&file); err != nil {
		return nil, err
	}
	if _, err := w.Write(program); err != nil {
		return nil, err
	}
	err := w.Close()
	return content.Bytes(), err
}

// document writes v as a blob of JSON.
func (l *layout) document(mediaType string, v any) (descriptor, error) {
	content, err := json.Marshal(v)
	if err != nil {
		return descriptor{}, err
	}
	return l.blob(mediaType, content)
}

// blob writes content once under its digest.
func (l *layout) blob(mediaType string, content []byte) (descriptor, error) {
	sum := sha256.Sum256(content)
	digest := hex.EncodeToString(sum[:])
	d := descriptor{MediaType: mediaType, Digest: "sha256:" + digest, Size: int64(len(content))}
	if l.written[digest] {
		return d, nil
	}
	l.written[digest] = true
	return d, l.file("blobs/sha256/"+digest, content)
}

func (l *layout) file(name string, content []byte) error {
	if err := l.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
		return err
	}
	_, err := l.tar.Write(content)
	return err
}
