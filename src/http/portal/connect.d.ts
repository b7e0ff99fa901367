/** What `/connect.js` puts into the window of the app's page. */
interface KeybrokerConnectOptions {
  /** The `url` that `POST /v1/orgs/{org}/connect-sessions` answered. */
  url: string;
  /** The account is connected. */
  onSuccess?: (result: { connection: string }) => void;
  /** The popup was closed before that. */
  onCancel?: () => void;
}

interface KeybrokerPopup {
  /** Closes the popup; neither `onSuccess` nor `onCancel` is called then. */
  close(): void;
}

declare const keybroker: {
  /**
   * Opens a connect link in a popup; call it right in a click's handler. Where popups are blocked, the page
   * itself goes there, and comes back by the session's `return_url`.
   */
  connect(options: KeybrokerConnectOptions): KeybrokerPopup;
};

interface Window {
  keybroker: typeof keybroker;
}
