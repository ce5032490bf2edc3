// Protogen makes the Go code of .proto files, with no protoc to install:
//
//	protogen [-check] FILE.proto...
//
// Files are named relative to the working directory and import one another by
// those names, or the well-known types; the code lands beside each file, or
// with -check is compared with what is there. The plugins protoc-gen-go and
// protoc-gen-go-grpc are taken from the folder of this program.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/linker"
	"github.com/bufbuild/protocompile/protoutil"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

var plugins = []string{"protoc-gen-go", "protoc-gen-go-grpc"}

func main() {
	check := flag.Bool("check", false, "write nothing, fail where the code is not up to date")
	flag.Parse()
	keep := write
	if *check {
		keep = compare
	}
	if err := generate(flag.Args(), keep); err != nil {
		fmt.Fprintln(os.Stderr, "protogen:", err)
		os.Exit(1)
	}
}

// generate hands every file that the plugins make to keep.
func generate(names []string, keep func(name, content string) error) error {
	if len(names) == 0 {
		return errors.New("no files named, as in protogen [-check] FILE.proto")
	}
	compiler := protocompile.Compiler{
		Resolver:       protocompile.WithStandardImports(&protocompile.SourceResolver{}),
		SourceInfoMode: protocompile.SourceInfoStandard, // comments become Go doc
	}
	files, err := compiler.Compile(context.Background(), names...)
	if err != nil {
		return err
	}
	request := &pluginpb.CodeGeneratorRequest{
		FileToGenerate: names,
		Parameter:      proto.String("paths=source_relative"),
		ProtoFile:      inOrder(files),
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for _, plugin := range plugins {
		if err := run(filepath.Join(filepath.Dir(self), plugin), request, keep); err != nil {
			return fmt.Errorf("%s: %w", plugin, err)
		}
	}
	return nil
}

// inOrder lists the files and all they import, what is imported first.
func inOrder(files linker.Files) []*descriptorpb.FileDescriptorProto {
	var list []*descriptorpb.FileDescriptorProto
	seen := map[string]bool{}
	var add func(protoreflect.FileDescriptor)
	add = func(file protoreflect.FileDescriptor) {
		if seen[file.Path()] {
			return
		}
		seen[file.Path()] = true
		for i := range file.Imports().Len() {
			add(file.Imports().Get(i).FileDescriptor)
		}
		list = append(list, protoutil.ProtoFromFileDescriptor(file))
	}
	for _, file := range files {
		add(file)
	}
	return list
}

// run asks one plugin for its files.
func run(plugin string, request *pluginpb.CodeGeneratorRequest, keep func(name, content string) error) error {
	in, err := proto.Marshal(request)
	if err != nil {
		return err
	}
	cmd := exec.Command(plugin)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return err
	}
	var response pluginpb.CodeGeneratorResponse
	if err := proto.Unmarshal(out, &response); err != nil {
		return err
	}
	if response.Error != nil {
		return fmt.Errorf("%s", response.GetError())
	}
	for _, file := range response.File {
		if err := keep(file.GetName(), file.GetContent()); err != nil {
			return err
		}
	}
	return nil
}

func write(name, content string) error {
	return os.WriteFile(name, []byte(content), 0o644)
}

func compare(name, content string) error {
	is, err := os.ReadFile(name)
	if err == nil && string(is) != content {
		return fmt.Errorf("%s is not up to date (make gen)", name)
	}
	return err
}
