#!/usr/bin/perl
# The kernel's side of nbd, ublk and swap, and the tools that talk to the kernel,
# for tests of rswapctl on machines without these.  harness.sh puts links to this
# file on PATH: mkswap, swapon, swapoff, modprobe; nbd-netlink, which
# fake_netlink.c calls; ublk-driver, which fake_ublk.c calls; and nbd-kernel, which
# the tests themselves call.
#
# The state is below $RSWAP_FAKE:
#   block/    mounted on /sys/block
#   swaps/N   the latest one is mounted on /proc/swaps
#   entries   the lines of /proc/swaps without the heading
#   dev/      mounted on /dev where ublk is tested
#   log       what was done, one line each
#   hook/     TOOL-before, TOOL-after: programs that run around what TOOL does
#             (mkswap, swapon, ...; of netlink connect, disconnect, used), with
#             its arguments; RSWAPCTL is the process id of rswapctl.  Where one
#             fails, TOOL fails: "before" without having done anything.
#
# A connected device really holds its connections to nbdkit, in a process whose
# id is in block/nbdN/pid.  As in the kernel, a device that is disconnected while
# it is in use keeps its pid and size until it is released; this is written to
# the log as UNDER-USE, and fails every test.  A ublk device ends with the process
# that serves it.  Swap stays on then, and swapoff fails.
use strict;
use warnings;
use Fcntl qw(:flock);
use File::Basename qw(basename);
use IO::Select;
use IO::Socket::UNIX;
use POSIX qw(setsid EBUSY EEXIST ENODEV);

my $root = $ENV{RSWAP_FAKE} or die "RSWAP_FAKE is not set\n";
my $tool = basename($0);

sub complain {
	print STDERR "$tool: @_\n";
	exit 1;
}

sub content {
	my ($path) = @_;
	open(my $f, '<', $path) or return;
	local $/;
	return <$f>;
}

sub put {
	my ($path, $text, $mode) = @_;
	open(my $f, $mode // '>', $path) or complain("$path: $!");
	print $f $text;
	close $f;
}

sub note {
	put("$root/log", "@_\n", '>>');
}

# One change at a time, as under the kernel's locks.
my $lock;
sub locked {
	my ($do) = @_;
	open($lock, '>', "$root/lock") or die "$root/lock: $!\n";
	flock($lock, LOCK_EX);
	my $result = $do->();
	close $lock;
	return $result;
}

sub name {
	my ($device) = @_;
	$device =~ m{^/dev/((nbd|ublkb)\d+)$} or complain("$device: no such device");
	-d "$root/block/$1" or complain("$device: No such file or directory");
	return $1;
}

sub sys { return "$root/block/$_[0]/$_[1]" }

# --- devices ---

sub make_device {
	my ($name) = @_;
	my $dir = "$root/block/$name";
	my ($n) = $name =~ /(\d+)$/;
	return if -d $dir;
	mkdir "$root/new" or complain("$root/new: $!");
	mkdir "$root/new/$_" for 'holders', 'queue';
	put("$root/new/size", "0\n");
	put("$root/new/inflight", "       0        0\n");
	put("$root/new/dev", "43:$n\n");
	put("$root/new/queue/$_", "1\n") for qw(rotational add_random);
	put("$root/new/queue/scheduler", "[mq-deadline] none\n");
	rename "$root/new", $dir or complain("$dir: $!");
}

# What swap, the holders' directory and an exclusive open keep.  A file lock
# stands for the exclusive open.
sub has_user {
	my ($name) = @_;
	return 'swap' if grep { m{^/dev/$name[\s\\]} } entries();
	return 'a holder' if glob(sys($name, 'holders/*'));
	return '';
}

sub in_use {
	my ($name) = @_;
	my $user = has_user($name);
	return $user if $user;
	open(my $f, '>>', "$root/claim.$name") or die "$root/claim.$name: $!\n";
	return 'an exclusive open' if !flock($f, LOCK_EX | LOCK_NB);
	return '';
}

sub release {
	my ($name) = @_;
	unlink sys($name, 'pid'), sys($name, 'backend'), "$root/gone.$name";
	put(sys($name, 'size'), "0\n");
}

# Holds the connections as the kernel does, until it is told to disconnect or
# nbdkit hangs up.
sub hold {
	my (@sockets) = @_;
	my $pid = fork() // die "fork: $!\n";
	return $pid if $pid;
	close $lock;
	setsid();
	$0 = 'nbd-holder';
	open(STDIN, '<', '/dev/null');
	open(STDOUT, '>', '/dev/null');
	open(STDERR, '>', '/dev/null');
	$SIG{INT} = $SIG{HUP} = 'IGNORE';
	$SIG{TERM} = sub {
		# NBD_CMD_DISC
		syswrite($_, pack('N n n a8 N N N', 0x25609513, 0, 2, '', 0, 0, 0))
			for @sockets;
		POSIX::_exit(0);
	};
	my $select = IO::Select->new(@sockets);
	while ($select->count) {
		for my $socket ($select->can_read) {
			$select->remove($socket) if !sysread($socket, my $bytes, 4096);
		}
	}
	POSIX::_exit(0);
}

sub connected { return -e sys($_[0], 'pid') }

sub put_connected {
	my ($name, $size_bytes, $backend, $pid) = @_;
	put(sys($name, 'size'), int($size_bytes / 512) . "\n");
	put(sys($name, 'backend'), "$backend\n") if $backend ne '';
	put(sys($name, 'pid'), "$pid\n");
}

sub running {
	my ($pid) = @_;
	my $stat = content("/proc/$pid/stat") or return 0;
	return $stat !~ /\) [ZX]/;
}

sub disconnect {
	my ($name) = @_;
	connected($name) or return 0;
	my $used = has_user($name);
	my $pid = content(sys($name, 'pid'));
	note("disconnect $name" . ($used ? " UNDER-USE of $used" : ''));
	chomp $pid;
	if (kill('TERM', $pid)) {
		select(undef, undef, undef, 0.01) while running($pid);
	}
	if ($used) {
		put("$root/gone.$name", '');
	} else {
		release($name);
	}
	return 1;
}

# --- ublk ---

# A device that was added and not deleted: "STATE PID", the driver's.
sub added { return "$root/added.ublk$_[0]" }

sub start_ublk {
	my ($n, $size_bytes, $pid) = @_;
	my $name = "ublkb$n";
	my $seq = (content("$root/diskseq") // 0) + 1;
	put("$root/diskseq", $seq);
	make_device($name);
	put(sys($name, 'diskseq'), "$seq\n");
	put(sys($name, 'queue/io_timeout'), "30000\n");
	put("$root/dev/$name", "\0" x 4096); # as status reads one page
	put(added($n), "1 $pid\n");
	put_connected($name, $size_bytes, '', $pid);
	note("start $name");
}

sub end_ublk {
	my ($n) = @_;
	my $name = "ublkb$n";
	-d "$root/block/$name" or return;
	my $used = has_user($name);
	note("end $name" . ($used ? " in use by $used" : ''));
	system('rm', '-r', "$root/block/$name");
	unlink "$root/dev/$name";
	put(added($n), content(added($n)) =~ s/^1/0/r);
	return if $used ne 'swap';
	put("$root/entries", join('', map {
		s{^/dev/$name\s}{/dev/$name\\040(deleted) }r } entries()));
	publish();
}

# As the kernel does when the process that serves a device is gone.  For ever: the
# tests start it, as rswap-ublk has no right to mount.
sub watch_ublk {
	close $lock;
	for (;;) {
		select(undef, undef, undef, 0.05);
		locked(sub {
			for my $file (glob(added('*'))) {
				my ($n) = $file =~ /(\d+)$/;
				my ($state, $pid) = split ' ', content($file) // '0 0';
				end_ublk($n) if $state && !running($pid);
			}
		});
	}
}

my %ublk = (
	'add' => sub {
		my ($n) = @_;
		if ($n < 0) {
			$n = 0;
			$n++ while -e added($n) || has_user("ublkb$n");
		}
		refuse(EEXIST) if -e added($n) || has_user("ublkb$n");
		put(added($n), "0 -1\n");
		# of the requests of 64 queues
		put("$root/dev/ublkc$n", '');
		truncate("$root/dev/ublkc$n", 64 * 4096 * 24);
		note("add ublk$n");
		return $n;
	},
	'start' => sub { start_ublk(@_) },
	'stop' => sub { end_ublk($_[0]); return '' },
	'info' => sub {
		my $info = content(added($_[0])) // refuse(ENODEV);
		chomp $info;
		return $info;
	},
	'delete' => sub {
		-e added($_[0]) or refuse(ENODEV);
		unlink "$root/dev/ublkc$_[0]", added($_[0]);
		note("delete ublk$_[0]");
		return '';
	},
);

sub ublk_driver {
	my ($command, @args) = @_;
	my $do = $ublk{$command} or die "$command: no such command\n";
	my $result = locked(sub { return $do->(@args) });
	print $result // '', "\n";
}

# --- swap ---

sub entries {
	return split /^/, content("$root/entries") // '';
}

# A file that is written anew could be read half; a mount is there or not.
sub publish {
	my ($count) = (content("$root/count") // '0') =~ /(\d+)/;
	$count++;
	put("$root/count", $count);
	put("$root/swaps/$count",
		"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n" .
		join('', entries()));
	system('mount', '--bind', "$root/swaps/$count", '/proc/swaps') == 0
		or die "mount over /proc/swaps\n";
}

# --- the tools ---

# What the kernel's side of netlink refuses with, and what it answers.
sub refuse {
	my ($errno) = @_;
	print $errno, "\n";
	exit 1;
}

my $answer;

# connect NUMBER SIZE BACKEND FD...
sub connect_device {
	my ($n, $size, $backend, @fds) = @_;
	my @sockets = map { IO::Socket::UNIX->new_from_fd($_, '+<') } @fds;
	locked(sub {
		if ($n < 0) {
			# as nbd_find_get_unused: one that nobody has open
			$n = 0;
			$n++ while connected("nbd$n") ||
				(-d sys("nbd$n", '') && in_use("nbd$n"));
		}
		my $name = "nbd$n";
		make_device($name);
		refuse(EBUSY) if connected($name) || in_use($name);
		put_connected($name, $size, $backend, hold(@sockets));
		note("connect $name");
	});
	$answer = $n;
}

my %netlink = (
	'connect' => \&connect_device,
	'disconnect' => sub { my ($n) = @_; locked(sub { disconnect("nbd$n") }) },
	# for an exclusive open, whose lock is taken already
	'used' => sub {
		my ($name) = @_;
		locked(sub { refuse(EBUSY) if has_user($name) });
	},
);

sub nbd_netlink {
	my ($command, @args) = @_;
	my $do = $netlink{$command} or die "$command: no such command\n";
	$do->(@args);
	return $answer // 0;
}

sub mkswap {
	my $name = name($_[-1]);
	connected($name) or complain("$_[-1]: Input/output error");
	note("mkswap $name");
	put("$root/made.$name", '');
}

sub swapon {
	my $device = $_[-1];
	my $name = name($device);
	my $priority = '-2';
	for my $i (0 .. $#_ - 1) {
		$priority = $_[$i + 1] if $_[$i] eq '-p';
	}
	locked(sub {
		connected($name) && !-e "$root/gone.$name" or
			complain("$device: swapon failed: Invalid argument");
		my $used = in_use($name);
		complain("$device: swapon failed: Device or resource busy ($used)")
			if $used;
		note("swapon $name");
		put("$root/entries", sprintf("%-40spartition\t%d\t\t0\t\t%s\n",
			$device, content(sys($name, 'size')) / 2, $priority), '>>');
		publish();
	});
}

sub swapoff {
	my $device = $_[-1];
	my $name = name($device);
	locked(sub {
		my @before = entries();
		my @after = grep { !m{^\Q$device\E\s} } @before;
		complain("$device: swapoff failed: Invalid argument")
			if @after == @before;
		note("swapoff $name");
		put("$root/entries", join('', @after));
		publish();
		release($name) if -e "$root/gone.$name";
	});
}

sub modprobe {
	my ($module) = @_;
	note("modprobe @_");
	locked(sub {
		if ($module eq 'nbd') {
			make_device("nbd$_") for 0 .. 3;
		} else {
			put("$root/dev/ublk-control", '');
		}
	});
}

# What the tests do to the kernel, beside rswapctl.
my %kernel = (
	'devices' => sub { make_device("nbd$_") for 0 .. $_[0] - 1 },
	# a device that somebody else has connected
	'foreign' => sub { put_connected("nbd$_[0]", 1 << 20, '', 1) },
	'publish' => sub { publish() },
	'watch' => sub { watch_ublk() },
	'disconnect' => sub { disconnect("nbd$_[0]") },
	# the last user lets go of a device that was disconnected
	'release' => sub { release("nbd$_[0]") },
);

sub nbd_kernel {
	my $command = shift;
	my $do = $kernel{$command} or complain("$command: no such command");
	my @args = @_;
	locked(sub { $do->(@args) });
}

# What a hook is called for: of netlink the command, else the tool.
my $what = $tool eq 'nbd-netlink' ? $ARGV[0] : $tool;

sub hook {
	my ($when, @args) = @_;
	my $path = "$root/hook/$what-$when";
	return if !-x $path;
	$ENV{RSWAPCTL} = getppid();
	# A script that is executed by its name must be open for writing nowhere.
	system('bash', $path, @args) == 0 and return;
	complain("it is made to fail ($when)") if $? == 1 << 8;
	complain($? == -1 ? "the hook ($when) was not run: $!" :
		sprintf("the hook ($when) ended with the wait status %#x", $?));
}

my %tools = (
	'nbd-netlink' => \&nbd_netlink,
	'mkswap' => \&mkswap,
	'swapon' => \&swapon,
	'swapoff' => \&swapoff,
	'modprobe' => \&modprobe,
	'nbd-kernel' => \&nbd_kernel,
	'ublk-driver' => \&ublk_driver,
);
my $run = $tools{$tool} or die "$tool: no such tool\n";
hook('before', @ARGV);
my $result = $run->(@ARGV);
hook('after', @ARGV);
print "$result\n" if $tool eq 'nbd-netlink';
