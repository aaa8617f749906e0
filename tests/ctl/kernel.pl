#!/usr/bin/perl
# The kernel's side of nbd and swap, and the tools that talk to the kernel, for
# tests of rswapctl on machines without nbd.  harness.sh puts links to this file
# on PATH: mkswap, swapon, swapoff, modprobe; nbd-netlink, which fake_netlink.c
# calls; and nbd-kernel, which the tests themselves call.
#
# The state is below $RSWAP_FAKE:
#   block/    mounted on /sys/block
#   swaps/N   the latest one is mounted on /proc/swaps
#   entries   the lines of /proc/swaps without the heading
#   log       what was done, one line each
#   hook/     TOOL-before, TOOL-after: programs that run around what TOOL does
#             (mkswap, swapon, ...; of netlink connect, disconnect, used), with
#             its arguments; RSWAPCTL is the process id of rswapctl.  Where one
#             fails, TOOL fails: "before" without having done anything.
#
# A connected device really holds its connections to nbdkit, in a process whose
# id is in block/nbdN/pid.  As in the kernel, a device that is disconnected while
# it is in use keeps its pid and size until it is released; this is written to
# the log as UNDER-USE, and fails every test.
use strict;
use warnings;
use Fcntl qw(:flock);
use File::Basename qw(basename);
use IO::Select;
use IO::Socket::UNIX;
use POSIX qw(setsid EBUSY);

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

sub number {
	my ($device) = @_;
	$device =~ m{^/dev/nbd(\d+)$} or complain("$device: no nbd device");
	-d "$root/block/nbd$1" or complain("$device: No such file or directory");
	return $1;
}

sub sys { return "$root/block/nbd$_[0]/$_[1]" }

# --- devices ---

sub make_device {
	my ($n) = @_;
	my $dir = "$root/block/nbd$n";
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
	my ($n) = @_;
	return 'swap' if grep { m{^/dev/nbd$n[\s\\]} } entries();
	return 'a holder' if glob(sys($n, 'holders/*'));
	return '';
}

sub in_use {
	my ($n) = @_;
	my $user = has_user($n);
	return $user if $user;
	open(my $f, '>>', "$root/claim.nbd$n") or die "$root/claim.nbd$n: $!\n";
	return 'an exclusive open' if !flock($f, LOCK_EX | LOCK_NB);
	return '';
}

sub release {
	my ($n) = @_;
	unlink sys($n, 'pid'), sys($n, 'backend'), "$root/gone.nbd$n";
	put(sys($n, 'size'), "0\n");
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
	my ($n, $size_bytes, $backend, $pid) = @_;
	put(sys($n, 'size'), int($size_bytes / 512) . "\n");
	put(sys($n, 'backend'), "$backend\n") if $backend ne '';
	put(sys($n, 'pid'), "$pid\n");
}

sub running {
	my ($pid) = @_;
	my $stat = content("/proc/$pid/stat") or return 0;
	return $stat !~ /\) [ZX]/;
}

sub disconnect {
	my ($n) = @_;
	connected($n) or return 0;
	my $used = has_user($n);
	my $pid = content(sys($n, 'pid'));
	note("disconnect nbd$n" . ($used ? " UNDER-USE of $used" : ''));
	chomp $pid;
	if (kill('TERM', $pid)) {
		select(undef, undef, undef, 0.01) while running($pid);
	}
	if ($used) {
		put("$root/gone.nbd$n", '');
	} else {
		release($n);
	}
	return 1;
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
			$n++ while connected($n) || (-d sys($n, '') && in_use($n));
		}
		make_device($n);
		refuse(EBUSY) if connected($n) || in_use($n);
		put_connected($n, $size, $backend, hold(@sockets));
		note("connect nbd$n");
	});
	$answer = $n;
}

my %netlink = (
	'connect' => \&connect_device,
	'disconnect' => sub { my ($n) = @_; locked(sub { disconnect($n) }) },
	# for an exclusive open, whose lock is taken already
	'used' => sub { my ($n) = @_; locked(sub { refuse(EBUSY) if has_user($n) }) },
);

sub nbd_netlink {
	my ($command, @args) = @_;
	my $do = $netlink{$command} or die "$command: no such command\n";
	$do->(@args);
	return $answer // 0;
}

sub mkswap {
	my $n = number($_[-1]);
	connected($n) or complain("$_[-1]: Input/output error");
	note("mkswap nbd$n");
	put("$root/made.nbd$n", '');
}

sub swapon {
	my $device = $_[-1];
	my $n = number($device);
	my $priority = '-2';
	for my $i (0 .. $#_ - 1) {
		$priority = $_[$i + 1] if $_[$i] eq '-p';
	}
	locked(sub {
		connected($n) && !-e "$root/gone.nbd$n" or
			complain("$device: swapon failed: Invalid argument");
		my $used = in_use($n);
		complain("$device: swapon failed: Device or resource busy ($used)")
			if $used;
		note("swapon nbd$n");
		put("$root/entries", sprintf("%-40spartition\t%d\t\t0\t\t%s\n",
			$device, content(sys($n, 'size')) / 2, $priority), '>>');
		publish();
	});
}

sub swapoff {
	my $device = $_[-1];
	my $n = number($device);
	locked(sub {
		my @before = entries();
		my @after = grep { !m{^\Q$device\E\s} } @before;
		complain("$device: swapoff failed: Invalid argument")
			if @after == @before;
		note("swapoff nbd$n");
		put("$root/entries", join('', @after));
		publish();
		release($n) if -e "$root/gone.nbd$n";
	});
}

sub modprobe {
	note("modprobe @_");
	locked(sub { make_device($_) for 0 .. 3 });
}

# What the tests do to the kernel, beside rswapctl.
my %kernel = (
	'devices' => sub { make_device($_) for 0 .. $_[0] - 1 },
	# a device that somebody else has connected
	'foreign' => sub { put_connected($_[0], 1 << 20, '', 1) },
	'publish' => sub { publish() },
	'disconnect' => sub { disconnect($_[0]) },
	# the last user lets go of a device that was disconnected
	'release' => sub { release($_[0]) },
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
	system($path, @args) == 0 or complain("it is made to fail ($when)");
}

my %tools = (
	'nbd-netlink' => \&nbd_netlink,
	'mkswap' => \&mkswap,
	'swapon' => \&swapon,
	'swapoff' => \&swapoff,
	'modprobe' => \&modprobe,
	'nbd-kernel' => \&nbd_kernel,
);
my $run = $tools{$tool} or die "$tool: no such tool\n";
hook('before', @ARGV);
my $result = $run->(@ARGV);
hook('after', @ARGV);
print "$result\n" if $tool eq 'nbd-netlink';
