package server

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"sluice/internal/accesslog"
	"sluice/internal/lab"
)

func TestAShortageThatComesAndGoesIsOneInTheLog(t *testing.T) {
	var out lab.Transcript
	var plenty atomic.Bool
	var asked atomic.Int64
	s := shortage{
		log:  zap.New(zapcore.NewCore(accesslog.Encoder(accesslog.JSON), zapcore.AddSync(&out), zapcore.InfoLevel)),
		calm: time.Millisecond,
		over: func() bool { asked.Add(1); return plenty.Load() },
	}
	defer s.stop()
	for range 3 {
		s.failed(":3128", errors.New("no buffer space available"))
		was := asked.Load()
		waitFor(t, func() bool { return asked.Load() > was }) // calm, but still short
	}
	plenty.Store(true)
	waitFor(t, func() bool { return strings.Contains(out.String(), `"msg":"accepting again"`) })
	if log := out.String(); strings.Count(log, "\n") != 2 || !strings.Contains(log, `"failures":3`) {
		t.Errorf("the log has\n%s", log)
	}
	s.failed(":3128", errors.New("again"))
	waitFor(t, func() bool { return strings.Count(out.String(), "\n") == 4 })
	if n := s.count(); n != 4 {
		t.Errorf("%d failures are counted, want all 4", n)
	}
}
