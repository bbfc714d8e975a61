interface DevicePickerProps {
  label: string;
  devices: MediaDeviceInfo[];
  value: string;
  onChange: (deviceId: string) => void;
}

export function DevicePicker({ label, devices, value, onChange }: DevicePickerProps) {
  const known = devices.some((device) => device.deviceId === value);
  return (
    <label className="field">
      {label}
      <select
        className="input"
        value={known ? value : ""}
        onChange={(event) => onChange(event.target.value)}
        disabled={devices.length === 0}
      >
        <option value="">{devices.length === 0 ? `No ${label.toLowerCase()}` : "Default"}</option>
        {devices
          .filter((device) => device.deviceId !== "default")
          .map((device, index) => (
            <option key={device.deviceId} value={device.deviceId}>
              {device.label || `${label} ${index + 1}`}
            </option>
          ))}
      </select>
    </label>
  );
}
