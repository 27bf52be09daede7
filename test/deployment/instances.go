package deployment

import (
	"context"
	"slices"
	"syscall"

	"laneway.dev/test/machine"
)

// Pause stops the process of a role where it is, as a machine that hangs does.
func (d *Deployment) Pause(role string) {
	d.t.Helper()
	if err := machine.Pause(d.member(role).command.Process); err != nil {
		d.t.Fatalf("pause %s: %v", role, err)
	}
}

// Resume lets a paused process continue as if no time had passed.
func (d *Deployment) Resume(role string) {
	d.t.Helper()
	if err := d.member(role).signal(syscall.SIGCONT); err != nil {
		d.t.Fatalf("resume %s: %v", role, err)
	}
}

// Instance is a process that had a role before another one was started in it.
type Instance struct {
	deployment *Deployment
	process    *process
}

// Succeed starts another process of a role, and makes it the one that the deployment has in
// that role. The older one is left as it is. The flags are added to its own.
func (d *Deployment) Succeed(role string, flags ...string) *Instance {
	d.t.Helper()
	m := d.member(role)
	older := &Instance{deployment: d, process: m.process}
	d.t.Cleanup(older.kill)
	former := m.http
	m.http = machine.Address(d.t)
	m.args = slices.Concat(m.args, flags)
	for i := range m.args {
		if m.args[i] == former {
			m.args[i] = m.http
		}
	}
	d.start(m)
	return older
}

// Resume lets the instance continue, if it was paused.
func (i *Instance) Resume() {
	i.deployment.t.Helper()
	if err := i.process.signal(syscall.SIGCONT); err != nil {
		i.deployment.t.Fatal(err)
	}
}

// Wait returns the exit code of the instance once it has ended.
func (i *Instance) Wait(ctx context.Context) int {
	i.deployment.t.Helper()
	code, err := i.process.wait(ctx)
	if err != nil {
		i.deployment.t.Fatal(err)
	}
	return code
}

// Kill ends the instance by SIGKILL.
func (i *Instance) Kill() {
	i.deployment.t.Helper()
	if i.process.ended() {
		i.deployment.t.Fatal("an instance had ended by itself before it was killed")
	}
	i.kill()
}

// Terminate ends the instance by SIGTERM and returns its exit code.
func (i *Instance) Terminate(ctx context.Context) int {
	i.deployment.t.Helper()
	if err := i.process.signal(syscall.SIGTERM); err != nil {
		i.deployment.t.Fatal(err)
	}
	return i.Wait(ctx)
}

// Pause stops the instance where it is.
func (i *Instance) Pause() {
	i.deployment.t.Helper()
	if err := machine.Pause(i.process.command.Process); err != nil {
		i.deployment.t.Fatal(err)
	}
}

// Runs reports whether the instance has not ended.
func (i *Instance) Runs() bool { return !i.process.ended() }

// kill makes sure that nothing is left of the instance.
func (i *Instance) kill() {
	if i.process.ended() {
		return
	}
	if err := i.process.signal(syscall.SIGKILL); err != nil {
		i.deployment.t.Error(err)
	}
	<-i.process.done
}
