package crash

import (
	"fmt"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

func TestAPanicIsCarriedOverWithItsStack(t *testing.T) {
	var b Box
	b.Raise() // nothing was caught
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer b.Catch()
		culprit()
	}()
	<-done
	defer func() {
		p := Recovered(recover())
		if p == nil || p.Value != "a fault" || p.Error() != "panic: a fault" || fmt.Sprint(p) != p.Error() {
			t.Fatalf("raised %v", p)
		}
		if !strings.Contains(string(p.Stack), "culprit") || !strings.Contains(fmt.Sprintf("%+v", p), "culprit") {
			t.Errorf("stack %s", p.Stack)
		}
		line, err := zapcore.NewJSONEncoder(zapcore.EncoderConfig{}).EncodeEntry(zapcore.Entry{}, []zapcore.Field{zap.Any("panic", any(p))})
		if err != nil || !strings.Contains(line.String(), "culprit") {
			t.Errorf("the log has no stack: %s, %v", line, err)
		}
	}()
	b.Raise()
	t.Error("nothing was raised")
}

func culprit() { panic("a fault") }
