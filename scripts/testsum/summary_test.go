package main

import (
	"strings"
	"testing"
)

func TestSummary(t *testing.T) {
	tests := []struct {
		name   string
		events string
		want   string
		failed bool
		skips  int
	}{
		{
			name: "what passes is one line",
			events: `{"Action":"start","Package":"p"}
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:3: chatter\n"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Output":"PASS\n"}
{"Action":"output","Package":"p","Output":"ok  \tp\t1.2s\n"}
{"Action":"pass","Package":"p"}
`,
			want: "ok  \tp\t1.2s\n",
		},
		{
			name: "what fails says why",
			events: `{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:3: got 1, want 2\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"--- FAIL: TestA (0.00s)\n"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Output":"FAIL\n"}
{"Action":"output","Package":"p","Output":"FAIL\tp\t0.1s\n"}
{"Action":"fail","Package":"p"}
`,
			want:   "    a_test.go:3: got 1, want 2\n--- FAIL: TestA (0.00s)\nFAIL\tp\t0.1s\n",
			failed: true,
		},
		{
			name: "a process that ends in the middle of a test",
			events: `{"Action":"output","Package":"p","Test":"TestA","Output":"panic: boom\n"}
{"Action":"output","Package":"p","Output":"FAIL\tp\t0.1s\n"}
{"Action":"fail","Package":"p"}
`,
			want:   "panic: boom\nFAIL\tp\t0.1s\n",
			failed: true,
		},
		{
			name: "what does not build",
			events: `{"Action":"build-output","ImportPath":"p [p.test]","Output":"a.go:1:1: undefined: x\n"}
{"Action":"build-fail","ImportPath":"p [p.test]"}
{"Action":"output","Package":"p","Output":"FAIL\tp [build failed]\n"}
{"Action":"fail","Package":"p","FailedBuild":"p [p.test]"}
`,
			want:   "a.go:1:1: undefined: x\nFAIL\tp [build failed]\n",
			failed: true,
		},
		{
			name: "skips and figures are told at the end",
			events: `{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:3: SKIP: prosody is not installed\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"--- SKIP: TestA (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestA"}
{"Action":"skip","Package":"p","Test":"TestB"}
{"Action":"output","Package":"p","Test":"TestC","Output":"    a_test.go:9: figure: 3 µs a packet\n"}
{"Action":"pass","Package":"p","Test":"TestC"}
{"Action":"output","Package":"p","Output":"ok  \tp\t1.2s\n"}
{"Action":"pass","Package":"p"}
`,
			want: "ok  \tp\t1.2s\n" +
				"\nfigures (1):\np TestC: 3 µs a packet\n" +
				"\nskipped (2):\nSKIP: p TestA: prosody is not installed\nSKIP: p TestB: no reason given\n",
			skips: 2,
		},
		{
			name: "a package without tests is no skip",
			events: `{"Action":"output","Package":"p","Output":"?   \tp\t[no test files]\n"}
{"Action":"skip","Package":"p"}
`,
			want: "?   \tp\t[no test files]\n",
		},
		{
			name:   "lines that are no events pass through",
			events: "go: downloading x v1\n",
			want:   "go: downloading x v1\n",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out strings.Builder
			sum := newSummary(&out)
			if err := sum.read(strings.NewReader(test.events)); err != nil {
				t.Fatal(err)
			}
			sum.close()
			if out.String() != test.want {
				t.Errorf("printed\n%s\nwant\n%s", out.String(), test.want)
			}
			if sum.failed != test.failed || len(sum.skips) != test.skips {
				t.Errorf("failed %v, %d skips; want %v, %d", sum.failed, len(sum.skips), test.failed, test.skips)
			}
		})
	}
}
