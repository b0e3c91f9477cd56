<#
.SYNOPSIS
Makes this checkout ready to run on Windows: .venv with the pinned packages, .env, and a look at Java.

.DESCRIPTION
A second run only installs what has changed. It starts nothing and needs no administrator.

.PARAMETER Dashboard
The dashboard's packages too.

.PARAMETER Dev
Also what the tests need.

.EXAMPLE
powershell -ExecutionPolicy Bypass -File script\setup.ps1
#>
[CmdletBinding(PositionalBinding = $false)]
param(
    [switch] $Dashboard,
    [switch] $Dev
)

Set-StrictMode -Version 2.0
# Programs may write to standard error without having failed; their exit codes are looked at.
$ErrorActionPreference = 'Continue'
Set-Location -LiteralPath (Split-Path -Parent $PSScriptRoot)

function Stop-Setup {
    param([string] $Message)
    [Console]::Error.WriteLine("setup: $Message")
    exit 2
}

function Test-Python {
    param([string[]] $Command)
    $program = $Command[0]
    if (-not (Get-Command $program -ErrorAction SilentlyContinue)) { return $false }
    $given = @($Command | Select-Object -Skip 1)
    $check = 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))'
    & $program @given -c $check 2>$null | Out-Null
    return $LASTEXITCODE -eq 0
}

# --- Python ---------------------------------------------------------------------------------------

$python = Join-Path '.venv' 'Scripts\python.exe'
if (-not (Test-Python @($python))) {
    $candidates = @(
        @('py', '-3.13'), @('py', '-3.12'), @('py', '-3.11'), @('py', '-3.10'), @('python')
    )
    $found = $null
    foreach ($candidate in $candidates) {
        if (Test-Python $candidate) { $found = $candidate; break }
    }
    if (-not $found) {
        Stop-Setup 'Python 3.10 to 3.13 was not found: install it from https://www.python.org/downloads/windows/'
    }
    Write-Host 'setup: making .venv'
    $given = @($found | Select-Object -Skip 1)
    & $found[0] @given -m venv --clear .venv
    if ($LASTEXITCODE -ne 0) { Stop-Setup 'the virtual environment .venv could not be made: see the lines above' }
}

$files = @('requirements.txt')
if ($Dashboard -or $Dev) { $files += 'requirements-dashboard.txt' }
if ($Dev) { $files += 'requirements-dev.txt' }
$wanted = ($files | ForEach-Object { Get-Content -LiteralPath $_ -Raw }) -join ''
$stamp = Join-Path '.venv' 'installed-windows.txt'
$installed = ''
if (Test-Path -LiteralPath $stamp) { $installed = Get-Content -LiteralPath $stamp -Raw }
if ($installed -cne $wanted) {
    Write-Host 'setup: installing packages into .venv (a few minutes the first time)'
    $given = @()
    foreach ($file in $files) { $given += @('-r', $file) }
    # pyspark comes as source; wheel lets pip build and keep it.
    & $python -m pip install --disable-pip-version-check --no-input --quiet wheel
    & $python -m pip install --disable-pip-version-check --no-input --quiet @given
    if ($LASTEXITCODE -ne 0) { Stop-Setup 'packages could not be installed: see the lines above, then run this again' }
    Set-Content -LiteralPath $stamp -Value $wanted -NoNewline
}

# --- Java -----------------------------------------------------------------------------------------

$java = 'java'
if ($env:JAVA_HOME) { $java = Join-Path $env:JAVA_HOME 'bin\java.exe' }
$remedy = 'install Java 17 or 21 (for example Temurin''s .msi, with JAVA_HOME set) and open a new window'
if (-not (Get-Command $java -ErrorAction SilentlyContinue)) { Stop-Setup "Java was not found: $remedy" }
$told = (& $java -version 2>&1 | Out-String)
if ($told -notmatch 'version "(\d+)') { Stop-Setup "the version of $java is not known: $remedy" }
$major = [int] $Matches[1]
# Spark 4 runs on 17 and later; since 24 a call that Hadoop needs is gone.
if ($major -lt 17 -or $major -ge 24) { Stop-Setup "Java $major does not do for Spark: $remedy" }

# --- Settings -------------------------------------------------------------------------------------

if (-not (Test-Path -LiteralPath '.env')) {
    Copy-Item -LiteralPath '.env.example' -Destination '.env'
    Write-Host 'setup: .env was made of .env.example: write your MONGO_URI there'
}
Write-Host 'setup: done. Next:'
Write-Host "  $python pulse check"
Write-Host "  $python pulse batch"
